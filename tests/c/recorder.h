/* What the tests of recorders share: a callback that keeps what it was told, frames, and a reader of FLV. */
#ifndef RECORDER_H
#define RECORDER_H

#include "test.h"

#include <sys/stat.h>

static char folder[] = "/tmp/camrill-rec-XXXXXX";

/* What a recorder's callback was told. */
struct keeper {
    struct host *host;
    camrill_recorder_t *recorder;
    int counts[5], freed;
    uint32_t dropped;
    struct told {
        char path[256], reason[256];
        int64_t duration_us;
        uint64_t bytes;
    } opened[16], closed[16], failed[16];
    void (*on_file)(struct keeper *, const camrill_recorder_file_t *);
};

static struct keeper kept;

static UNUSED void note(struct told *told, const camrill_recorder_file_t *file)
{
    keep(told->path, sizeof told->path, file->path);
    keep(told->reason, sizeof told->reason, file->reason);
    told->duration_us = file->duration_us;
    told->bytes = file->bytes;
}

static UNUSED void keep_file(void *user, const camrill_recorder_file_t *file)
{
    struct keeper *k = user;
    CHECK(!k->freed && file->struct_size == sizeof *file && file->what >= 1 && file->what <= 4);
    CHECK(k->host == NULL || !k->host->freed);
    if (k->host != NULL)
        k->host->after += k->host->given_up;
    EQ(file->what == CAMRILL_RECORDER_FAILED, file->reason[0] != 0);
    EQ(file->what == CAMRILL_RECORDER_DROPPED, file->frames != 0);
    if (file->what == CAMRILL_RECORDER_OPENED)
        note(&k->opened[k->counts[file->what] & 15], file);
    if (file->what == CAMRILL_RECORDER_CLOSED)
        note(&k->closed[k->counts[file->what] & 15], file);
    if (file->what == CAMRILL_RECORDER_FAILED)
        note(&k->failed[k->counts[file->what] & 15], file);
    k->dropped += file->frames;
    k->counts[file->what]++;
    if (k->on_file != NULL)
        k->on_file(k, file);
}

static UNUSED void keeper_freed(void *user)
{
    struct keeper *k = user;
    CHECK(k->host == NULL || !k->host->freed);
    k->freed++;
}

static char path[256];

/* A config of the stream live/a that tells `kept`, with files of this name. */
static UNUSED camrill_recorder_config_t of_stream(struct host *h, const char *name)
{
    camrill_recorder_config_t config = CAMRILL_RECORDER_CONFIG_INIT;
    memset(&kept, 0, sizeof kept);
    kept.host = h;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    config.app = "live";
    config.name = "a";
    config.path = path;
    config.user = &kept;
    config.user_free = keeper_freed;
    config.on_file = keep_file;
    return config;
}

/* ... and of the host's own frames. */
static UNUSED camrill_recorder_config_t fed(struct host *h, const char *name)
{
    camrill_recorder_config_t config = of_stream(h, name);
    config.app = config.name = NULL;
    config.tracks.video_codec = CAMRILL_CODEC_H264;
    return config;
}

static int64_t clock_us;

static UNUSED int32_t write_video(camrill_recorder_t *recorder, int key, size_t size, uint8_t mark)
{
    camrill_frame_t frame = CAMRILL_FRAME_INIT;
    uint8_t *data = malloc(size + 64);
    int32_t result;
    CHECK(data != NULL);
    frame.codec = CAMRILL_CODEC_H264;
    frame.size = access_unit(data, key, size, mark);
    frame.data = data;
    frame.pts_us = frame.dts_us = clock_us;
    result = camrill_recorder_write(recorder, &frame);
    clock_us += 40000;
    free(data);
    return result;
}

static UNUSED int32_t write_audio(camrill_recorder_t *recorder)
{
    static const uint8_t adts[] = {0xff, 0xf1, 0x50, 0x80, 0x01, 0xbf, 0xfc, 1, 2, 3, 4, 5, 6};
    camrill_frame_t frame = CAMRILL_FRAME_INIT;
    frame.codec = CAMRILL_CODEC_AAC;
    frame.data = adts;
    frame.size = sizeof adts;
    frame.pts_us = frame.dts_us = clock_us;
    return camrill_recorder_write(recorder, &frame);
}

/* GOPs of a second, marked by their number from `first` on. */
static UNUSED void write_gops(camrill_recorder_t *recorder, int first, int gops)
{
    int i;
    for (i = 0; i < gops * 25; i++)
        EQ(write_video(recorder, i % 25 == 0, 100, (uint8_t)(first + i / 25)), 0);
}

static UNUSED void camera_gops(struct host *h, struct camera *c, int first, int gops)
{
    int i;
    for (i = 0; i < gops * 25; i++) {
        EQ(camera_video(c, i % 25 == 0, 100, (uint8_t)(first + i / 25)), 0);
        CHECK(camrill_engine_poll(h->engine, 0) >= 0);
    }
}

#define WAIT(h, condition)                                       \
    do {                                                         \
        int64_t until_ = now_ms() + 20000;                       \
        while (!(condition)) {                                   \
            CHECK(now_ms() < until_);                            \
            CHECK(camrill_engine_poll((h)->engine, 10) >= 0);    \
        }                                                        \
    } while (0)

/* A whole file; the caller frees it. */
static UNUSED uint8_t *load(const char *name, size_t *size)
{
    struct stat st;
    FILE *file = fopen(name, "rb");
    uint8_t *data;
    CHECK(file != NULL && fstat(fileno(file), &st) == 0);
    *size = (size_t)st.st_size;
    data = calloc(1, *size + 1);
    CHECK(data != NULL && fread(data, 1, *size, file) == *size);
    fclose(file);
    return data;
}

/* The video frames of an FLV file. */
struct flv {
    int keys, frames, audio;
    int first_is_key, first_mark, last_mark;
    int64_t duration_ms;
};

static UNUSED uint32_t be(const uint8_t *p, int n)
{
    uint32_t value = 0;
    while (n-- > 0)
        value = value << 8 | *p++;
    return value;
}

static UNUSED struct flv parse_flv(const uint8_t *data, size_t size)
{
    struct flv flv;
    size_t at = 13;
    memset(&flv, 0, sizeof flv);
    CHECK(size > 13 && memcmp(data, "FLV\1", 4) == 0);
    while (at < size) {
        const uint8_t *tag = data + at;
        uint32_t length, time;
        CHECK(size - at >= 15);
        length = be(tag + 1, 3);
        time = be(tag + 4, 3) | (uint32_t)tag[7] << 24;
        CHECK(size - at >= 15 + (size_t)length);
        EQ(be(tag + 11 + length, 4), length + 11);
        flv.audio += tag[0] == 8 && tag[12] == 1;
        if (tag[0] == 9 && tag[12] == 1) {
            const uint8_t *last = tag + 11 + length - 1;
            if (flv.frames == 0) {
                flv.first_is_key = tag[11] >> 4 == 1;
                flv.first_mark = *last & 127;
            }
            flv.frames++;
            flv.keys += tag[11] >> 4 == 1;
            flv.last_mark = *last & 127;
            flv.duration_ms = time;
        }
        at += 15 + length;
    }
    return flv;
}

static UNUSED struct flv read_flv(const char *name)
{
    size_t size;
    uint8_t *data = load(name, &size);
    struct flv flv = parse_flv(data, size);
    free(data);
    return flv;
}

#endif
