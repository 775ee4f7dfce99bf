/* Recording from C: files of a stream and of the host's own frames, pre-roll, and a disk that refuses. */
#include "recorder.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

static void arguments(void)
{
    struct host h;
    camrill_recorder_config_t config;
    camrill_recorder_t *const untouched = (camrill_recorder_t *)&kept;
    camrill_recorder_t *r = untouched;
    camrill_frame_t frame = CAMRILL_FRAME_INIT;
    uint8_t byte = 0;

    host_start(&h, 0);
    config = fed(&h, "a.flv");
    EQ(camrill_recorder_new(NULL, &config, &r), CAMRILL_EINVAL);
    EQ(camrill_recorder_new(h.engine, NULL, &r), CAMRILL_EINVAL);
    EQ(camrill_recorder_new(h.engine, &config, NULL), CAMRILL_EINVAL);
#define REFUSED(change, word)                                         \
    do {                                                              \
        config = fed(&h, "a.flv");                                    \
        change;                                                       \
        EQ(camrill_recorder_new(h.engine, &config, &r), CAMRILL_EINVAL); \
        CHECK(strstr(why(h.engine), word) != NULL);                   \
    } while (0)
    REFUSED(config.struct_size = 0, "struct_size");
    REFUSED(config.struct_size = (uint32_t)offsetof(camrill_recorder_config_t, tracks), "neither");
    REFUSED(config.struct_size = (uint32_t)offsetof(camrill_recorder_config_t, path), "path is NULL");
    REFUSED(config.path = NULL, "path is NULL");
    REFUSED(config.path = "", "path is empty");
    REFUSED(config.path = "\xff", "UTF-8");
    REFUSED(config.plan = 4, "plan is 4");
    REFUSED(config.plan = -1, "plan is -1");
    REFUSED(config.flags = 4, "flags is 4");
    REFUSED(config.fragment_ms = 99, "fragment_ms");
    REFUSED(config.fragment_ms = 60001, "fragment_ms");
    REFUSED(config.preroll_ms = 60001, "preroll_ms");
    REFUSED(config.preroll_bytes = 1, "preroll_bytes");
    REFUSED(config.max_bytes = UINT64_MAX, "max_bytes");
    REFUSED(config.tracks.video_codec = 7, "video_codec is 7");
    REFUSED(config.tracks.video_codec = 0, "neither");
    REFUSED(config.app = "live", "name is NULL");
    REFUSED((config.app = "live", config.name = "a/b"), "name is \"a/b\"");
    CHECK(r == untouched && kept.freed == 0);

    config = fed(&h, "a.flv");
    config.struct_size = (uint32_t)offsetof(camrill_recorder_config_t, user);
    EQ(camrill_recorder_new(h.engine, &config, &r), 0);
    EQ(camrill_recorder_write(NULL, &frame), CAMRILL_EINVAL);
    EQ_TEXT(why(NULL), "recorder is NULL");
    EQ(camrill_recorder_write(r, NULL), CAMRILL_EINVAL);
    EQ(camrill_recorder_write(r, &frame), CAMRILL_EINVAL);
    frame.codec = CAMRILL_CODEC_H264;
    frame.data = &byte;
    frame.size = 1;
    EQ(camrill_recorder_write(r, &frame), CAMRILL_EFRAME);
    frame.codec = CAMRILL_CODEC_AAC;
    EQ(camrill_recorder_write(r, &frame), CAMRILL_EINVAL);
    EQ(camrill_recorder_start(NULL), CAMRILL_EINVAL);
    EQ(camrill_recorder_stop(NULL), CAMRILL_EINVAL);
    EQ(camrill_recorder_cut(NULL, 0), CAMRILL_EINVAL);
    EQ(camrill_recorder_cut(r, 2), CAMRILL_EINVAL);
    /* Without a file there is nothing to do. */
    EQ(camrill_recorder_cut(r, 0), 0);
    EQ(camrill_recorder_cut(r, CAMRILL_CUT_AT_ONCE), 0);
    EQ(camrill_recorder_start(r), 0);
    EQ(camrill_recorder_stop(r), 0);
    camrill_recorder_free(NULL);
    camrill_recorder_free(r);

    EQ(camrill_dvr_start(NULL, NULL, "live", "a"), CAMRILL_EINVAL);
    EQ(camrill_dvr_start(h.engine, NULL, NULL, "a"), CAMRILL_EINVAL);
    EQ(camrill_dvr_start(h.engine, NULL, "live", NULL), CAMRILL_EINVAL);
    EQ(camrill_dvr_stop(NULL, NULL, "live", "a"), CAMRILL_EINVAL);
    EQ(camrill_dvr_cut(NULL, NULL, "live", "a", 0), CAMRILL_EINVAL);
    EQ(camrill_dvr_start(h.engine, NULL, "live", "a"), CAMRILL_ENOENT);
    EQ(camrill_dvr_stop(h.engine, "", "live", "a"), CAMRILL_ENOENT);
    EQ(camrill_dvr_cut(h.engine, NULL, "live", "a", 0), CAMRILL_ENOENT);
    CHECK(strstr(why(h.engine), "live/a") != NULL);
    host_free(&h);
    EQ(kept.freed, 0);
}

/* Files of the host's frames, cut when it says so. */
static void of_own_frames(void)
{
    struct host h;
    camrill_recorder_config_t config;
    camrill_recorder_t *r;
    struct flv flv;
    struct stat st;

    host_start(&h, 0);
    config = fed(&h, "own-[seq].flv");
    config.tracks.audio_codec = CAMRILL_CODEC_AAC;
    EQ(camrill_recorder_new(h.engine, &config, &r), 0);
    clock_us = 7000000;
    /* Nobody could show these; then the picture waits for the sound. */
    EQ(write_video(r, 0, 10, 1), CAMRILL_EFRAME);
    EQ(write_video(r, 1, 10, 1), 0);
    EQ(write_audio(r), 0);
    write_gops(r, 2, 3);
    EQ(camrill_recorder_cut(r, 0), 0);
    write_gops(r, 5, 2);
    EQ(write_video(r, 0, 10, 9), 0);
    EQ(camrill_recorder_cut(r, CAMRILL_CUT_AT_ONCE), 0);
    EQ(write_video(r, 0, 10, 10), 0);
    write_gops(r, 11, 1);
    EQ(camrill_recorder_stop(r), 0);
    write_gops(r, 12, 1);
    WAIT(&h, kept.counts[CAMRILL_RECORDER_CLOSED] == 3);
    EQ(kept.counts[CAMRILL_RECORDER_OPENED], 3);
    EQ(kept.counts[CAMRILL_RECORDER_FAILED], 0);
    flv = read_flv(kept.closed[0].path);
    EQ(flv.frames, 76);
    EQ(flv.audio, 1);
    EQ(flv.keys, 4);
    EQ(flv.first_is_key, 1);
    EQ(flv.first_mark, 1);
    EQ(flv.last_mark, 4);
    EQ(flv.duration_ms, 3000);
    EQ(kept.closed[0].duration_us, 3000000);
    EQ(stat(kept.closed[0].path, &st), 0);
    EQ(kept.closed[0].bytes, st.st_size);
    flv = read_flv(kept.closed[1].path);
    EQ(flv.frames, 51);
    EQ(flv.last_mark, 9);
    flv = read_flv(kept.closed[2].path);
    EQ(flv.frames, 25);
    EQ(flv.first_mark, 11);
    /* What is there is not written over. */
    EQ(camrill_recorder_start(r), 0);
    write_gops(r, 13, 1);
    camrill_recorder_free(r);
    EQ(kept.freed, 0);
    WAIT(&h, kept.freed);
    EQ(kept.counts[CAMRILL_RECORDER_CLOSED], 4);
    EQ(read_flv(kept.closed[3].path).first_mark, 13);
    host_free(&h);
    EQ(kept.freed, 1);
}

/* Frames at every time there is, in both containers: files that are whole. */
static void any_times(void)
{
    static const int64_t times[] = {0, INT64_MAX - 40000, INT64_MIN + 1, -1, INT64_MIN + 1, INT64_MAX - 40000, 1};
    struct host h;
    camrill_recorder_config_t config;
    camrill_recorder_t *r;
    size_t i, size;
    int mp4;

    for (mp4 = 0; mp4 < 2; mp4++) {
        host_start(&h, 0);
        config = fed(&h, mp4 ? "times.mp4" : "times.flv");
        config.tracks.audio_codec = CAMRILL_CODEC_AAC;
        EQ(camrill_recorder_new(h.engine, &config, &r), 0);
        for (i = 0; i < COUNT(times) * 2; i++) {
            clock_us = times[i / 2];
            EQ(write_audio(r), 0);
            EQ(write_video(r, i % 2 == 0, 50, 1), 0);
        }
        camrill_recorder_free(r);
        WAIT(&h, kept.freed);
        EQ(kept.counts[CAMRILL_RECORDER_CLOSED], kept.counts[CAMRILL_RECORDER_OPENED]);
        CHECK(kept.counts[CAMRILL_RECORDER_CLOSED] >= 1 && kept.counts[CAMRILL_RECORDER_CLOSED] < 15);
        for (i = 0; i < (size_t)kept.counts[CAMRILL_RECORDER_CLOSED]; i++) {
            if (mp4) {
                uint8_t *data = load(kept.closed[i].path, &size);
                EQ(memcmp(data + 4, "ftyp", 4), 0);
                free(data);
            } else {
                EQ(read_flv(kept.closed[i].path).first_is_key, 1);
            }
        }
        host_free(&h);
    }
}

/* MP4, of segments; rewritten in the end. */
static void mp4_segments(void)
{
    struct host h;
    camrill_recorder_config_t config;
    camrill_recorder_t *r;
    size_t size;
    uint8_t *data;
    int i, round;

    for (round = 0; round < 2; round++) {
        host_start(&h, 0);
        config = fed(&h, "seg-[seq].mp4");
        config.tracks.audio_codec = CAMRILL_CODEC_AAC;
        config.plan = CAMRILL_RECORDER_SEGMENT;
        config.duration_ms = 2000;
        config.fragment_ms = 500;
        config.flags = round ? CAMRILL_RECORDER_FASTSTART : 0;
        EQ(camrill_recorder_new(h.engine, &config, &r), 0);
        clock_us = 0;
        for (i = 0; i < 175; i++) {
            EQ(write_video(r, i % 25 == 0, 100, (uint8_t)i), 0);
            EQ(write_audio(r), 0);
        }
        camrill_recorder_free(r);
        WAIT(&h, kept.freed);
        EQ(kept.counts[CAMRILL_RECORDER_CLOSED], 4);
        EQ(kept.counts[CAMRILL_RECORDER_FAILED], 0);
        for (i = 0; i < 4; i++) {
            CHECK(kept.closed[i].duration_us > (i < 3 ? 1900000 : 900000) && kept.closed[i].duration_us <= 2000000);
            data = load(kept.closed[i].path, &size);
            EQ(kept.closed[i].bytes, size);
            EQ(memcmp(data + 4, "ftyp", 4), 0);
            EQ(memmem(data, size, "moof", 4) != NULL, !round);
            CHECK(memmem(data, size, "moov", 4) != NULL && memmem(data, size, "mp4a", 4) != NULL);
            free(data);
        }
        host_free(&h);
    }
}

/* What came before the trigger is in the file, from a keyframe on. */
static void preroll(void)
{
    struct host h;
    struct camera c;
    camrill_recorder_config_t config;
    camrill_recorder_t *r;
    struct flv flv;
    int from_stream;

    for (from_stream = 0; from_stream < 2; from_stream++) {
        host_start(&h, 0);
        config = from_stream ? of_stream(&h, "stream.flv") : fed(&h, "fed.flv");
        config.flags = CAMRILL_RECORDER_ON_DEMAND;
        config.preroll_ms = 2500;
        EQ(camrill_recorder_new(h.engine, &config, &r), 0);
        clock_us = 0;
        if (from_stream) {
            EQ(camera_new(&c, &h, "a"), 0);
            camera_gops(&h, &c, 1, 10);
            EQ(write_video(r, 1, 10, 1), CAMRILL_ESTATE);
        } else {
            write_gops(r, 1, 10);
        }
        EQ(camrill_recorder_start(r), 0);
        EQ(camrill_recorder_start(r), 0);
        if (from_stream)
            camera_gops(&h, &c, 11, 2);
        else
            write_gops(r, 11, 2);
        EQ(camrill_recorder_stop(r), 0);
        WAIT(&h, kept.counts[CAMRILL_RECORDER_CLOSED] == 1);
        flv = read_flv(kept.closed[0].path);
        EQ(flv.first_is_key, 1);
        /* 2.5 s and what their GOP has more. */
        EQ(flv.first_mark, 8);
        EQ(flv.last_mark, 12);
        EQ(flv.frames, 5 * 25);
        EQ(kept.closed[0].duration_us, 5 * 1000000 - 40000);
        /* And again. */
        if (from_stream)
            camera_gops(&h, &c, 20, 4);
        else
            write_gops(r, 20, 4);
        EQ(camrill_recorder_start(r), 0);
        camrill_recorder_free(r);
        WAIT(&h, kept.freed);
        flv = read_flv(kept.closed[1].path);
        EQ(flv.first_mark, 21);
        EQ(flv.frames, 75);
        if (from_stream)
            camrill_publisher_free(c.publisher);
        host_free(&h);
        EQ(kept.freed, 1);
    }
}

/* A stream that is published twice, with recorders that come and go beside the configuration's own. */
static void of_a_stream(void)
{
    struct host h;
    struct camera c;
    camrill_recorder_config_t config;
    camrill_recorder_t *r, *other;
    char dvr_path[128];

    host_make(&h, 0);
    snprintf(dvr_path, sizeof dvr_path, "%s/dvr-[seq].flv", folder);
    EQ(camrill_config_set(h.engine, "vhost/__defaultVhost__/dvr/enabled", "on"), 0);
    EQ(camrill_config_set(h.engine, "vhost/__defaultVhost__/dvr/dvr_path", dvr_path), 0);
    EQ(camrill_config_apply(h.engine), 0);
    EQ(camera_new(&c, &h, "a"), 0);
    camera_gops(&h, &c, 1, 2);
    WAIT(&h, h.counts[CAMRILL_EVENT_RECORDING] == 1);
    EQ_TEXT(h.last[CAMRILL_EVENT_RECORDING].app, "live");
    EQ_TEXT(h.last[CAMRILL_EVENT_RECORDING].name, "a");
    CHECK(h.last[CAMRILL_EVENT_RECORDING].stream != 0);
    CHECK(strstr(h.last[CAMRILL_EVENT_RECORDING].path, "/dvr-0") != NULL);
    /* Those that join take nothing from it. */
    config = of_stream(&h, "host-[seq].flv");
    EQ(camrill_recorder_new(h.engine, &config, &r), 0);
    camera_gops(&h, &c, 3, 1);
    config.user = NULL;
    config.on_file = NULL;
    config.user_free = NULL;
    EQ(camrill_recorder_new(h.engine, &config, &other), 0);
    camera_gops(&h, &c, 4, 1);
    camrill_recorder_free(other);
    camera_gops(&h, &c, 5, 1);
    EQ(camrill_config_apply(h.engine), 0);
    camera_gops(&h, &c, 6, 1);
    EQ(camrill_dvr_cut(h.engine, NULL, "live", "a", 3), CAMRILL_EINVAL);
    EQ(camrill_dvr_cut(h.engine, NULL, "live", "a", 0), 0);
    EQ(camrill_dvr_cut(h.engine, NULL, "live", "b", 0), CAMRILL_ENOENT);
    camera_gops(&h, &c, 7, 1);
    WAIT(&h, h.counts[CAMRILL_EVENT_RECORDED] == 1);
    EQ(read_flv(h.last[CAMRILL_EVENT_RECORDED].path).frames, 150);
    EQ(h.last[CAMRILL_EVENT_RECORDED].duration_us, 6000000 - 40000);
    CHECK(h.last[CAMRILL_EVENT_RECORDED].bytes > 15000);
    EQ_TEXT(h.last[CAMRILL_EVENT_RECORDED].name, "a");
    EQ(camrill_dvr_stop(h.engine, NULL, "live", "a"), 0);
    WAIT(&h, h.counts[CAMRILL_EVENT_RECORDED] == 2);
    EQ(read_flv(h.last[CAMRILL_EVENT_RECORDED].path).first_mark, 7);
    camera_gops(&h, &c, 8, 1);
    EQ(camrill_dvr_start(h.engine, "", "live", "a"), 0);
    camera_gops(&h, &c, 9, 1);
    camrill_publisher_free(c.publisher);
    WAIT(&h, h.counts[CAMRILL_EVENT_RECORDED] == 3 && kept.counts[CAMRILL_RECORDER_CLOSED] == 1);
    EQ(read_flv(h.last[CAMRILL_EVENT_RECORDED].path).first_mark, 9);
    EQ(read_flv(kept.closed[0].path).frames, 7 * 25);
    EQ(camrill_dvr_start(h.engine, NULL, "live", "a"), CAMRILL_ENOENT);
    /* The host's own stays for the next publish. */
    EQ(camera_new(&c, &h, "a"), 0);
    camera_gops(&h, &c, 20, 1);
    camrill_publisher_free(c.publisher);
    WAIT(&h, kept.counts[CAMRILL_RECORDER_CLOSED] == 2);
    EQ(read_flv(kept.closed[1].path).first_mark, 20);
    EQ(h.counts[CAMRILL_EVENT_RECORD_FAILED], 0);
    camrill_recorder_free(r);
    WAIT(&h, kept.freed);
    host_free(&h);
    EQ(kept.freed, 1);
}

/* A disk that takes nothing fails the recorder, and nothing else. */
static void a_disk_that_refuses(void)
{
    struct host h;
    struct camera c;
    camrill_recorder_config_t config;
    camrill_recorder_t *r;
    struct rlimit unlimited, limit;
    camrill_stats_t stats;
    char dvr_path[] = "/dev/full/[seq].flv";

    host_make(&h, 0);
    EQ(camrill_config_set(h.engine, "vhost/__defaultVhost__/dvr/enabled", "on"), 0);
    EQ(camrill_config_set(h.engine, "vhost/__defaultVhost__/dvr/dvr_path", dvr_path), 0);
    EQ(camrill_config_apply(h.engine), 0);
    EQ(camera_new(&c, &h, "a"), 0);
    config = of_stream(&h, "x");
    config.path = "/dev/full";
    EQ(camrill_recorder_new(h.engine, &config, &r), 0);
    camera_gops(&h, &c, 1, 2);
    WAIT(&h, kept.counts[CAMRILL_RECORDER_FAILED] == 1 && h.counts[CAMRILL_EVENT_RECORD_FAILED] == 1);
    CHECK(strstr(kept.failed[0].path, "/dev/full/") == kept.failed[0].path);
    CHECK(strstr(h.last[CAMRILL_EVENT_RECORD_FAILED].path, "/dev/full/0.flv") != NULL);
    CHECK(h.last[CAMRILL_EVENT_RECORD_FAILED].reason[0] != 0);
    EQ_TEXT(h.last[CAMRILL_EVENT_RECORD_FAILED].name, "a");
    /* It goes on, and tries again only later. */
    camera_gops(&h, &c, 3, 2);
    stats.struct_size = sizeof stats;
    EQ(camrill_stats(h.engine, &stats), 0);
    EQ(stats.publishers, 1);
    EQ(kept.counts[CAMRILL_RECORDER_FAILED], 1);
    EQ(kept.counts[CAMRILL_RECORDER_OPENED], 0);
    camrill_recorder_free(r);
    WAIT(&h, kept.freed);

    /* One that is full in the middle of a file. */
    EQ(getrlimit(RLIMIT_FSIZE, &unlimited), 0);
    limit = unlimited;
    limit.rlim_cur = 8192;
    signal(SIGXFSZ, SIG_IGN);
    EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
    config = of_stream(&h, "full.flv");
    EQ(camrill_recorder_new(h.engine, &config, &r), 0);
    camera_gops(&h, &c, 5, 6);
    WAIT(&h, kept.counts[CAMRILL_RECORDER_FAILED] == 1);
    EQ(setrlimit(RLIMIT_FSIZE, &unlimited), 0);
    EQ(kept.counts[CAMRILL_RECORDER_OPENED], 1);
    EQ_TEXT(kept.failed[0].path, path);
    camrill_recorder_free(r);
    WAIT(&h, kept.freed);
    EQ(kept.counts[CAMRILL_RECORDER_CLOSED], 0);
    camrill_publisher_free(c.publisher);
    host_free(&h);
    EQ(kept.freed, 1);
}

static void free_self(struct keeper *k, const camrill_recorder_file_t *file)
{
    (void)file;
    if (k->recorder != NULL) {
        camrill_recorder_free(k->recorder);
        k->recorder = NULL;
        CHECK(!k->freed);
    }
}

static void free_engine(struct keeper *k, const camrill_recorder_file_t *file)
{
    (void)file;
    if (!k->host->given_up) {
        camrill_engine_free(k->host->engine);
        k->host->given_up = 1;
        EQ(k->host->freed, 0);
        EQ(write_video(k->recorder, 1, 10, 1), CAMRILL_ESTATE);
        EQ(camrill_recorder_start(k->recorder), CAMRILL_ESTATE);
    }
}

static void freeing(void)
{
    struct host h;
    camrill_recorder_config_t config;
    camrill_recorder_t *r;

    /* In its own callback: the file is complete, and told, before user_free. */
    host_start(&h, 0);
    config = fed(&h, "self.flv");
    EQ(camrill_recorder_new(h.engine, &config, &kept.recorder), 0);
    kept.on_file = free_self;
    clock_us = 0;
    write_gops(kept.recorder, 1, 2);
    WAIT(&h, kept.freed);
    EQ(kept.counts[CAMRILL_RECORDER_OPENED], 1);
    EQ(kept.counts[CAMRILL_RECORDER_CLOSED], 1);
    EQ(read_flv(kept.closed[0].path).frames, 50);
    host_free(&h);
    EQ(kept.freed, 1);

    /* The engine in its callback. The file is written to its end all the same. */
    host_start(&h, 0);
    config = fed(&h, "engine.flv");
    EQ(camrill_recorder_new(h.engine, &config, &kept.recorder), 0);
    kept.on_file = free_engine;
    clock_us = 0;
    write_gops(kept.recorder, 1, 2);
    while (!h.given_up)
        CHECK(camrill_engine_poll(h.engine, 10) >= 0);
    EQ(h.freed, 1);
    EQ(h.after, 0);
    EQ(kept.freed, 1);
    EQ(kept.counts[CAMRILL_RECORDER_CLOSED], 0);
    EQ(read_flv(kept.opened[0].path).frames, 50);
    EQ(write_video(kept.recorder, 1, 10, 1), CAMRILL_ESTATE);
    CHECK(strstr(why(NULL), "freed") != NULL);
    EQ(camrill_recorder_start(kept.recorder), CAMRILL_ESTATE);
    EQ(camrill_recorder_stop(kept.recorder), CAMRILL_ESTATE);
    EQ(camrill_recorder_cut(kept.recorder, 0), CAMRILL_ESTATE);
    camrill_recorder_free(kept.recorder);
    EQ(kept.freed, 1);

    /* The engine first, before anything was polled. */
    host_start(&h, 0);
    config = fed(&h, "first.flv");
    EQ(camrill_recorder_new(h.engine, &config, &r), 0);
    clock_us = 0;
    write_gops(r, 1, 3);
    host_free(&h);
    EQ(kept.freed, 1);
    EQ(read_flv(path).frames, 75);
    camrill_recorder_free(r);
    EQ(kept.freed, 1);

    /* Freed, and then the engine. */
    host_start(&h, 0);
    config = fed(&h, "both.flv");
    EQ(camrill_recorder_new(h.engine, &config, &r), 0);
    write_gops(r, 1, 1);
    camrill_recorder_free(r);
    host_free(&h);
    EQ(kept.freed, 1);
    EQ(read_flv(path).frames, 25);

    /* One that never wrote. */
    host_start(&h, 0);
    config = of_stream(&h, "never.flv");
    EQ(camrill_recorder_new(h.engine, &config, &r), 0);
    camrill_recorder_free(r);
    EQ(kept.freed, 0);
    CHECK(camrill_engine_poll(h.engine, 0) > 0);
    EQ(kept.freed, 1);
    host_free(&h);
}

/* A child that frees its copy of the engine leaves the file to its parent, and doesn't wait for anything. */
static void in_a_child(void)
{
    struct host h;
    camrill_recorder_config_t config;
    camrill_recorder_t *r;
    int64_t began;
    int status;
    pid_t child;

    host_start(&h, 0);
    config = fed(&h, "child.flv");
    EQ(camrill_recorder_new(h.engine, &config, &r), 0);
    clock_us = 0;
    write_gops(r, 1, 2);
    WAIT(&h, kept.counts[CAMRILL_RECORDER_OPENED] == 1);
    began = now_ms();
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        EQ(write_video(r, 1, 10, 9), CAMRILL_EFORKED);
        EQ(camrill_recorder_stop(r), CAMRILL_EFORKED);
        camrill_recorder_free(r);
        camrill_engine_free(h.engine);
        EQ(h.freed, 1);
        /* Without a look at what is still there. */
        kill(getpid(), SIGKILL);
    }
    EQ(waitpid(child, &status, 0), child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    CHECK(now_ms() - began < 4000);
    write_gops(r, 3, 1);
    camrill_recorder_free(r);
    WAIT(&h, kept.freed);
    EQ(read_flv(kept.closed[0].path).frames, 75);
    EQ(read_flv(kept.closed[0].path).last_mark, 3);
    host_free(&h);
}

int main(void)
{
    char command[128];
    CHECK(mkdtemp(folder) != NULL);
    RUN(arguments);
    RUN(of_own_frames);
    RUN(any_times);
    RUN(mp4_segments);
    RUN(preroll);
    RUN(of_a_stream);
    RUN(a_disk_that_refuses);
    RUN(freeing);
    RUN(in_a_child);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    EQ(system(command), 0);
    return 0;
}
