/* Recorders that write to files of the host's own. */
#include "recorder.h"

#include <signal.h>
#include <sys/wait.h>

/* A file in memory. */
struct memory {
    char path[256];
    uint8_t *data;
    size_t size;
    int is_open, closed, complete, writes, rewrites;
};

static struct memory memories[32];

/* How the sink answers, and what it was asked. */
static struct {
    int files, again;
    /* So many calls of each are answered CAMRILL_EAGAIN before one is obeyed; -1: all. */
    int stall_open, stall_write, left;
    /* What is answered instead; a write's from its number on. */
    int32_t open, write, close;
    int write_from;
    /* Runs inside each function, with 'o', 'w' or 'c'. */
    void (*inside)(char which);
} sink;

static int stalls(int times)
{
    if (times == 0 || (times > 0 && sink.left == 0)) {
        sink.left = times;
        return 0;
    }
    sink.left--;
    sink.again++;
    return 1;
}

static int32_t sink_open(void *user, const char *name, void **file)
{
    struct memory *m = &memories[sink.files];
    CHECK(user == &kept && !kept.freed && name[0] != 0 && *file == NULL);
    if (sink.inside != NULL)
        sink.inside('o');
    if (stalls(sink.stall_open))
        return CAMRILL_EAGAIN;
    if (sink.open != 0)
        return sink.open;
    CHECK(sink.files < (int)COUNT(memories));
    memset(m, 0, sizeof *m);
    keep(m->path, sizeof m->path, name);
    m->is_open = 1;
    sink.files++;
    *file = m;
    return CAMRILL_OK;
}

static int32_t sink_write(void *user, void *file, uint64_t offset, const uint8_t *data, size_t size)
{
    struct memory *m = file;
    CHECK(user == &kept && !kept.freed && m->is_open && !m->closed && size > 0);
    CHECK(offset == m->size || offset + size <= m->size);
    if (sink.inside != NULL)
        sink.inside('w');
    if (stalls(sink.stall_write))
        return CAMRILL_EAGAIN;
    m->writes++;
    if (sink.write != 0 && m->writes > sink.write_from)
        return sink.write;
    m->rewrites += offset < m->size;
    if (offset == m->size) {
        m->size += size;
        m->data = realloc(m->data, m->size);
        CHECK(m->data != NULL);
    }
    memcpy(m->data + offset, data, size);
    return CAMRILL_OK;
}

static int32_t sink_close(void *user, void *file, int32_t complete)
{
    struct memory *m = file;
    CHECK(user == &kept && !kept.freed && m->is_open && !m->closed && (complete == 0 || complete == 1));
    m->closed++;
    m->complete = complete;
    if (sink.inside != NULL)
        sink.inside('c');
    return sink.close;
}

static const camrill_file_sink_t functions = {sizeof functions, 0, sink_open, sink_write, sink_close};

/* Gives up what the sink holds: each file was closed. */
static void sink_reset(void)
{
    int i;
    for (i = 0; i < sink.files; i++) {
        EQ(memories[i].closed, 1);
        free(memories[i].data);
    }
    memset(memories, 0, sizeof memories);
    memset(&sink, 0, sizeof sink);
}

static camrill_recorder_config_t sunk(camrill_recorder_config_t config)
{
    config.sink = &functions;
    return config;
}

static void arguments(void)
{
    struct host h;
    camrill_recorder_config_t config;
    camrill_file_sink_t changed;
    camrill_recorder_t *r = NULL;

    host_start(&h, 0);
#define REFUSED(change, word)                                            \
    do {                                                                 \
        config = fed(&h, "a.mp4");                                       \
        changed = functions;                                             \
        config.sink = &changed;                                          \
        change;                                                          \
        EQ(camrill_recorder_new(h.engine, &config, &r), CAMRILL_EINVAL); \
        CHECK(strstr(why(h.engine), word) != NULL);                      \
    } while (0)
    REFUSED(changed.struct_size = 0, "camrill_file_sink_t: struct_size is 0");
    REFUSED(changed.struct_size = (uint32_t)offsetof(camrill_file_sink_t, close), "close is NULL");
    REFUSED(changed.open = NULL, "open is NULL");
    REFUSED(changed.write = NULL, "write is NULL");
    REFUSED(changed.close = NULL, "close is NULL");
    /* What needs a folder, or a file that is read. */
    REFUSED(config.plan = CAMRILL_RECORDER_APPEND, "append");
    REFUSED(config.flags = CAMRILL_RECORDER_FASTSTART, "faststart");
    REFUSED(config.max_age_s = 1, "max_age");
    REFUSED(config.max_bytes = 1, "max_bytes");
    CHECK(r == NULL && kept.freed == 0);
    changed = (camrill_file_sink_t)CAMRILL_FILE_SINK_INIT;
    EQ(changed.struct_size, sizeof functions);
    EQ(sink.files, 0);
    host_free(&h);
}

static int64_t wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Byte for byte what the disk gets: both containers, of segments, with what came before. */
static void the_same_as_on_disk(void)
{
    struct host h;
    struct camera c;
    camrill_recorder_config_t config;
    camrill_recorder_t *disk, *own;
    struct keeper on_disk;
    uint8_t *data;
    size_t size;
    int64_t began;
    int i, mp4, stall, is_same, tries = 0;

    for (mp4 = 0; mp4 < 2; mp4++)
        for (stall = 0; stall < 2; stall++) {
            host_start(&h, 0);
            config = of_stream(&h, mp4 ? "a-[seq].mp4" : "a-[seq].flv");
            config.plan = CAMRILL_RECORDER_SEGMENT;
            config.duration_ms = 2000;
            config.fragment_ms = 500;
            config.preroll_ms = 1500;
            config.flags = CAMRILL_RECORDER_ON_DEMAND;
            memset(&on_disk, 0, sizeof on_disk);
            config.user = &on_disk;
            EQ(camrill_recorder_new(h.engine, &config, &disk), 0);
            config.user = &kept;
            config = sunk(config);
            sink.stall_open = sink.stall_write = stall * 2;
            EQ(camrill_recorder_new(h.engine, &config, &own), 0);
            /* It was copied. */
            memset(path, 'x', 9);
            EQ(camera_new(&c, &h, "a"), 0);
            camera_gops(&h, &c, 1, 4);
            /* MP4 tells when this was. */
            began = wall_ms();
            EQ(camrill_recorder_start(disk), 0);
            EQ(camrill_recorder_start(own), 0);
            is_same = !mp4 || wall_ms() == began;
            camera_gops(&h, &c, 5, 5);
            camrill_publisher_free(c.publisher);
            WAIT(&h, kept.counts[CAMRILL_RECORDER_CLOSED] == 4 && on_disk.counts[CAMRILL_RECORDER_CLOSED] == 4);
            EQ(sink.files, 4);
            for (i = 0; i < 4; i++) {
                data = load(on_disk.closed[i].path, &size);
                EQ_TEXT(memories[i].path, on_disk.closed[i].path);
                EQ_TEXT(kept.closed[i].path, memories[i].path);
                EQ(kept.closed[i].bytes, memories[i].size);
                EQ(kept.closed[i].duration_us, on_disk.closed[i].duration_us);
                EQ(memories[i].size, size);
                CHECK(!is_same || memcmp(memories[i].data, data, size) == 0);
                EQ(memories[i].complete, 1);
                EQ(memories[i].rewrites != 0, !mp4);
                EQ(remove(on_disk.closed[i].path), 0);
                free(data);
            }
            CHECK(stall ? sink.again >= 8 : sink.again == 0);
            EQ(kept.counts[CAMRILL_RECORDER_OPENED], 4);
            EQ(kept.counts[CAMRILL_RECORDER_FAILED] + kept.counts[CAMRILL_RECORDER_DROPPED], 0);
            camrill_recorder_free(own);
            camrill_recorder_free(disk);
            WAIT(&h, kept.freed && on_disk.freed);
            host_free(&h);
            sink_reset();
            /* Once more, if they did not begin at the same time; under valgrind they never do. */
            stall -= !is_same && tries++ < 6;
        }
}

/* Files that fail are told with the sink's reason, and closed if they were open. */
static void refusals(void)
{
    struct host h;
    camrill_recorder_config_t config;
    camrill_recorder_t *r;

    host_start(&h, 0);
    config = sunk(fed(&h, "a.flv"));
    sink.open = CAMRILL_ENOENT;
    EQ(camrill_recorder_new(h.engine, &config, &r), 0);
    clock_us = 0;
    write_gops(r, 1, 2);
    WAIT(&h, kept.counts[CAMRILL_RECORDER_FAILED] == 1);
    EQ_TEXT(kept.failed[0].path, path);
    CHECK(strstr(kept.failed[0].reason, "opening ") == kept.failed[0].reason);
    CHECK(strstr(kept.failed[0].reason, "the sink answered -3 (no such thing)") != NULL);
    write_gops(r, 3, 2);
    camrill_recorder_free(r);
    WAIT(&h, kept.freed);
    EQ(kept.counts[CAMRILL_RECORDER_OPENED] + kept.counts[CAMRILL_RECORDER_CLOSED], 0);
    EQ(sink.files, 0);
    sink_reset();

    config = sunk(fed(&h, "a.flv"));
    sink.write = CAMRILL_EIO;
    sink.write_from = 1;
    EQ(camrill_recorder_new(h.engine, &config, &r), 0);
    while (kept.counts[CAMRILL_RECORDER_FAILED] == 0) {
        write_gops(r, 1, 1);
        EQ(write_video(r, 0, 100000, 1), 0);
        CHECK(camrill_engine_poll(h.engine, 0) >= 0);
    }
    CHECK(strstr(kept.failed[0].reason, "writing to ") == kept.failed[0].reason);
    CHECK(strstr(kept.failed[0].reason, "the sink answered -200") != NULL);
    WAIT(&h, memories[0].closed);
    EQ(memories[0].complete, 0);
    EQ(memories[0].writes, 2);
    write_gops(r, 1, 3);
    camrill_recorder_free(r);
    WAIT(&h, kept.freed);
    EQ(sink.files, 1);
    EQ(kept.counts[CAMRILL_RECORDER_CLOSED], 0);
    EQ(kept.counts[CAMRILL_RECORDER_FAILED], 1);
    sink_reset();

    /* One that can't be closed now can't be closed later: it has been. */
    config = sunk(fed(&h, "a-[seq].mp4"));
    sink.close = CAMRILL_EAGAIN;
    EQ(camrill_recorder_new(h.engine, &config, &r), 0);
    write_gops(r, 1, 2);
    EQ(camrill_recorder_cut(r, 0), 0);
    write_gops(r, 1, 2);
    WAIT(&h, kept.counts[CAMRILL_RECORDER_FAILED] == 1);
    CHECK(strstr(kept.failed[0].reason, "closing ") == kept.failed[0].reason);
    sink.close = 0;
    camrill_recorder_free(r);
    WAIT(&h, kept.freed);
    EQ(kept.counts[CAMRILL_RECORDER_CLOSED], 1);
    EQ(sink.files, 2);
    EQ(memories[0].complete + memories[1].complete, 2);
    host_free(&h);
    sink_reset();
}

/* What a sink that takes nothing for a while costs is told, and the rest is whole. */
static void a_sink_that_stalls(void)
{
    struct host h;
    camrill_recorder_config_t config;
    camrill_recorder_t *r;
    struct flv flv;
    int i, written = 0;

    host_start(&h, 0);
    config = sunk(fed(&h, "a.flv"));
    EQ(camrill_recorder_new(h.engine, &config, &r), 0);
    clock_us = 0;
    sink.stall_write = -1;
    /* 15 MB, for which there is no room. */
    for (i = 0; i < 150; i++, written++) {
        EQ(write_video(r, i % 25 == 0, 100000, (uint8_t)(i / 25)), 0);
        CHECK(camrill_engine_poll(h.engine, 0) >= 0);
    }
    EQ(kept.counts[CAMRILL_RECORDER_DROPPED], 0);
    CHECK(sink.again > 0);
    sink.stall_write = sink.left = 0;
    WAIT(&h, memories[0].size > 3000000);
    for (i = 0; i < 50; i++, written++) {
        EQ(write_video(r, i % 25 == 0, 1000, (uint8_t)(10 + i / 25)), 0);
        CHECK(camrill_engine_poll(h.engine, 0) >= 0);
    }
    camrill_recorder_free(r);
    WAIT(&h, kept.freed);
    EQ(kept.counts[CAMRILL_RECORDER_DROPPED], 1);
    EQ(kept.counts[CAMRILL_RECORDER_CLOSED], 1);
    flv = parse_flv(memories[0].data, memories[0].size);
    EQ(flv.frames + (int)kept.dropped, written);
    CHECK(kept.dropped > 90 && flv.first_mark == 0);
    EQ(flv.last_mark, 11);
    EQ(flv.duration_ms, (written - 1) * 40);
    host_free(&h);
    sink_reset();
}

static struct host *inside_host;
static char inside_at;

static void free_recorder_inside(char which)
{
    if (which == inside_at && kept.recorder != NULL) {
        camrill_recorder_free(kept.recorder);
        kept.recorder = NULL;
    }
}

static void free_engine_inside(char which)
{
    if (which == inside_at && !inside_host->given_up) {
        camrill_engine_free(inside_host->engine);
        inside_host->given_up = 1;
        EQ(inside_host->freed, 0);
        EQ(camrill_recorder_cut(kept.recorder, 0), CAMRILL_ESTATE);
    }
}

static void use_inside(char which)
{
    static int is_inside;
    if (kept.recorder == NULL || is_inside)
        return;
    is_inside = 1;
    EQ(camrill_engine_poll(inside_host->engine, 0), CAMRILL_EREENTRANT);
    if (which == 'w' && memories[0].writes < 3)
        EQ(write_video(kept.recorder, 0, 70000, 40), 0);
    is_inside = 0;
}

static void freeing(void)
{
    static const char at[] = "owc";
    struct host h;
    camrill_recorder_config_t config;
    camrill_recorder_t *r;
    int i;

    for (i = 0; i < 3; i++) {
        /* The recorder inside its own functions: the file is complete all the same. */
        host_start(&h, 0);
        config = sunk(fed(&h, "a.flv"));
        EQ(camrill_recorder_new(h.engine, &config, &kept.recorder), 0);
        inside_at = at[i];
        sink.inside = free_recorder_inside;
        clock_us = 0;
        write_gops(kept.recorder, 1, 2);
        if (at[i] == 'c')
            EQ(camrill_recorder_stop(kept.recorder), 0);
        WAIT(&h, kept.freed);
        EQ(sink.files, 1);
        EQ(memories[0].complete, 1);
        EQ(kept.counts[CAMRILL_RECORDER_CLOSED], 1);
        EQ(parse_flv(memories[0].data, memories[0].size).frames, 50);
        host_free(&h);
        sink_reset();

        /* And the engine. */
        host_start(&h, 0);
        config = sunk(fed(&h, "a.flv"));
        EQ(camrill_recorder_new(h.engine, &config, &kept.recorder), 0);
        inside_host = &h;
        sink.inside = free_engine_inside;
        clock_us = 0;
        write_gops(kept.recorder, 1, 2);
        if (at[i] == 'c')
            EQ(camrill_recorder_stop(kept.recorder), 0);
        while (!h.given_up)
            CHECK(camrill_engine_poll(h.engine, 10) >= 0);
        EQ(h.freed, 1);
        EQ(h.after, 0);
        EQ(kept.freed, 1);
        EQ(memories[0].complete, 1);
        EQ(parse_flv(memories[0].data, memories[0].size).frames, 50);
        camrill_recorder_free(kept.recorder);
        EQ(kept.freed, 1);
        sink_reset();
    }

    /* The engine, with files open and things to be written. */
    for (i = 0; i < 3; i++) {
        host_start(&h, 0);
        config = sunk(fed(&h, "a.flv"));
        EQ(camrill_recorder_new(h.engine, &config, &r), 0);
        clock_us = 0;
        write_gops(r, 1, 1);
        WAIT(&h, kept.counts[CAMRILL_RECORDER_OPENED] == 1);
        write_gops(r, 2, 1);
        /* A sink that has no time then, and had none before. */
        sink.stall_write = i > 0 ? -1 : 0;
        EQ(camrill_recorder_cut(r, i == 2 ? CAMRILL_CUT_AT_ONCE : 0), 0);
        write_gops(r, 3, 1);
        if (i == 2)
            WAIT(&h, sink.again > 0);
        host_free(&h);
        EQ(kept.freed, 1);
        EQ(sink.files, 2);
        EQ(memories[0].complete, i == 0);
        EQ(memories[1].complete, i == 0);
        if (i == 0) {
            EQ(parse_flv(memories[0].data, memories[0].size).frames, 50);
            EQ(parse_flv(memories[1].data, memories[1].size).first_mark, 3);
        }
        camrill_recorder_free(r);
        sink_reset();
    }

    /* Calls from inside. */
    host_start(&h, 0);
    config = sunk(fed(&h, "a.flv"));
    EQ(camrill_recorder_new(h.engine, &config, &kept.recorder), 0);
    inside_host = &h;
    sink.inside = use_inside;
    clock_us = 0;
    EQ(write_video(kept.recorder, 1, 70000, 1), 0);
    WAIT(&h, memories[0].writes >= 3);
    r = kept.recorder;
    kept.recorder = NULL;
    camrill_recorder_free(r);
    WAIT(&h, kept.freed);
    CHECK(parse_flv(memories[0].data, memories[0].size).frames >= 3);
    host_free(&h);
    sink_reset();
}

static void dies_inside(char which)
{
    (void)which;
    _exit(9);
}

/* A child leaves the files to its parent. */
static void in_a_child(void)
{
    struct host h;
    camrill_recorder_config_t config;
    camrill_recorder_t *r;
    int status;
    pid_t child;

    host_start(&h, 0);
    config = sunk(fed(&h, "a.flv"));
    EQ(camrill_recorder_new(h.engine, &config, &r), 0);
    clock_us = 0;
    write_gops(r, 1, 2);
    WAIT(&h, kept.counts[CAMRILL_RECORDER_OPENED] == 1);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        sink.inside = dies_inside;
        camrill_recorder_free(r);
        camrill_engine_free(h.engine);
        EQ(kept.freed, 1);
        /* Without a look at what is still there. */
        kill(getpid(), SIGKILL);
    }
    EQ(waitpid(child, &status, 0), child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    write_gops(r, 3, 1);
    camrill_recorder_free(r);
    WAIT(&h, kept.freed);
    EQ(parse_flv(memories[0].data, memories[0].size).frames, 75);
    host_free(&h);
    sink_reset();
}

int main(void)
{
    char command[128];
    CHECK(mkdtemp(folder) != NULL);
    RUN(arguments);
    RUN(the_same_as_on_disk);
    RUN(refusals);
    RUN(a_sink_that_stalls);
    RUN(freeing);
    RUN(in_a_child);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    EQ(system(command), 0);
    return 0;
}
