/* Publishing from the host's own encoder: what it hands over, what is refused, the queue's bounds. */
#include "rtmp.h"

static uint8_t raw_config[] = {0x12, 0x10}; /* AAC-LC, 44.1 kHz, stereo */

/* One ADTS frame of 7 + `size` bytes. */
static size_t adts(uint8_t *out, size_t size, uint8_t mark)
{
    size_t length = size + 7;
    uint8_t header[7] = {0xff, 0xf1, 0x50, 0x80, 0, 0x1f, 0xfc};
    header[3] |= (uint8_t)(length >> 11);
    header[4] = (uint8_t)(length >> 3);
    header[5] |= (uint8_t)(length << 5);
    memcpy(out, header, 7);
    memset(out + 7, mark, size);
    return length;
}

static int32_t write_frame(camrill_publisher_t *p, int32_t codec, const void *data, size_t size, int64_t us)
{
    camrill_frame_t frame = CAMRILL_FRAME_INIT;
    frame.codec = codec;
    frame.data = data;
    frame.size = size;
    frame.pts_us = frame.dts_us = us;
    return camrill_publisher_write(p, &frame);
}

static int32_t start(struct host *h, struct camera *c, int32_t video, int32_t audio, int raw)
{
    camrill_publisher_config_t config = CAMRILL_PUBLISHER_CONFIG_INIT;
    memset(c, 0, sizeof *c);
    c->host = h;
    config.tracks.video_codec = video;
    config.tracks.audio_codec = audio;
    config.app = "live";
    config.name = "a";
    config.tracks.audio_config = raw ? raw_config : NULL;
    config.tracks.audio_config_size = raw ? sizeof raw_config : 0;
    config.user = c;
    config.user_free = camera_freed;
    config.need_keyframe = camera_key;
    return camrill_publisher_new(h->engine, &config, &c->publisher);
}

/* What a player gets of AAC: its header, then the frames without theirs. */
static void aac(int raw)
{
    struct host h;
    struct camera c;
    struct rtmp *player;
    uint8_t data[256];
    size_t size, i, n = 0;

    host_start(&h, 0);
    EQ(start(&h, &c, CAMRILL_CODEC_NONE, CAMRILL_CODEC_AAC, raw), 0);
    player = rtmp_open(h.port, "live", "a", 0);
    UNTIL(&h, player, player->state == RTMP_GOING);
    for (i = 0; i < 3; i++) {
        if (raw)
            memset(data, 0x40, size = 20);
        else
            size = adts(data, 20, 0x40);
        EQ(write_frame(c.publisher, CAMRILL_CODEC_AAC, data, size, (int64_t)i * 23220), 0);
    }
    if (!raw) {
        /* Several frames at once get times of their own. */
        size = adts(data, 20, 0x40);
        size += adts(data + size, 20, 0x40);
        EQ(write_frame(c.publisher, CAMRILL_CODEC_AAC, data, size, 3 * 23220), 0);
        /* One that breaks off is refused whole. */
        EQ(write_frame(c.publisher, CAMRILL_CODEC_AAC, data, size - 1, 5 * 23220), CAMRILL_EFRAME);
        EQ(write_frame(c.publisher, CAMRILL_CODEC_AAC, "\1\2\3\4\5\6\7\10", 8, 5 * 23220), CAMRILL_EFRAME);
    }
    EQ(write_frame(c.publisher, CAMRILL_CODEC_H264, "\0\0\1\x65\1", 5, 0), CAMRILL_EINVAL);
    EQ(write_frame(c.publisher, CAMRILL_CODEC_NONE, "\0\0\1\x65\1", 5, 0), CAMRILL_EINVAL);
    UNTIL(&h, player, player->audio == (raw ? 3 : 5));
    for (i = 0; i < (size_t)player->count; i++) {
        const struct rtmp_message *m = &player->media[i];
        if (m->type != 8)
            continue;
        EQ(m->head[0], 0xaf);
        if (m->head[1] == 0) {
            EQ(n, 0);
            EQ(m->size, 4);
            EQ(m->head[2], 0x12);
            EQ(m->head[3], 0x10);
        } else {
            EQ(m->size, 22);
            EQ(m->head[2], 0x40);
            EQ(m->time, (uint32_t)(n * 23220 / 1000));
            n++;
        }
    }
    EQ(n, raw ? 3 : 5);
    camrill_publisher_free(c.publisher);
    rtmp_close(player, 0);
    host_free(&h);
}

static void adts_and_raw_aac(void)
{
    aac(0);
    aac(1);
}

static void invalid_frames(void)
{
    struct host h;
    struct camera c;
    camrill_publisher_stats_t stats;
    static uint8_t big[9 << 20];
    uint8_t data[256];
    size_t size;

    host_start(&h, 0);
    EQ(start(&h, &c, CAMRILL_CODEC_H264, CAMRILL_CODEC_NONE, 0), 0);
    EQ(write_frame(c.publisher, CAMRILL_CODEC_H264, "\0\0\0\1\x65\1\2", 7, 0), CAMRILL_EFRAME);
    CHECK(strstr(why(NULL), "SPS") != NULL);
    EQ(write_frame(c.publisher, CAMRILL_CODEC_H264, "\1\2\3\4", 4, 0), CAMRILL_EFRAME);
    EQ(write_frame(c.publisher, CAMRILL_CODEC_H264, "\0\0\0\1", 4, 0), CAMRILL_EFRAME);
    EQ(write_frame(c.publisher, CAMRILL_CODEC_H264, "\0\0\1\x67\0\0\1\x68\0\0\1\x65\1", 13, 0), CAMRILL_EFRAME);
    EQ(write_frame(c.publisher, CAMRILL_CODEC_H264, big, sizeof big, 0), CAMRILL_EFRAME);
    EQ(write_frame(c.publisher, CAMRILL_CODEC_AAC, "\xff\xf1", 2, 0), CAMRILL_EINVAL);
    EQ(write_frame(c.publisher, 0, "\0\0\1\x65\1", 5, 0), CAMRILL_EINVAL);
    stats.struct_size = sizeof stats;
    EQ(camrill_publisher_stats(c.publisher, &stats), 0);
    EQ(stats.written, 0);
    EQ(stats.dropped, 0);
    /* Parameter sets may come alone; every time there is may come. */
    size = access_unit(data, 1, 10, 1);
    EQ(write_frame(c.publisher, CAMRILL_CODEC_H264, data, 38, 0), 0);
    EQ(write_frame(c.publisher, CAMRILL_CODEC_H264, data + 38, size - 38, INT64_MAX), 0);
    EQ(write_frame(c.publisher, CAMRILL_CODEC_H264, data, size, INT64_MIN), CAMRILL_EINVAL);
    EQ(write_frame(c.publisher, CAMRILL_CODEC_H264, data, size, INT64_MIN + 1), 0);
    EQ(write_frame(c.publisher, CAMRILL_CODEC_H264, data, size, -1), 0);
    EQ(write_frame(c.publisher, CAMRILL_CODEC_H264, data, size, 0), 0);
    {
        camrill_frame_t frame = CAMRILL_FRAME_INIT;
        frame.codec = CAMRILL_CODEC_H264;
        frame.data = data;
        frame.size = size;
        frame.pts_us = INT64_MIN + 1;
        frame.dts_us = INT64_MAX;
        EQ(camrill_publisher_write(c.publisher, &frame), CAMRILL_EFRAME);
        CHECK(strstr(why(NULL), "after the time of display") != NULL);
        frame.pts_us = INT64_MAX;
        frame.dts_us = INT64_MIN + 1;
        EQ(camrill_publisher_write(c.publisher, &frame), 0);
        frame.struct_size = 0;
        EQ(camrill_publisher_write(c.publisher, &frame), CAMRILL_EINVAL);
        frame.struct_size = 16; /* no data in it */
        EQ(camrill_publisher_write(c.publisher, &frame), CAMRILL_EINVAL);
    }
    {
        struct rtmp *player = rtmp_open(h.port, "live", "a", 0);
        UNTIL(&h, player, player->video >= 1);
        rtmp_close(player, 0);
    }
    camrill_publisher_free(c.publisher);
    host_free(&h);
}

/* Whatever is wrong is told with its place, and what is right goes on. */
static void wrong_frames(void)
{
    struct host h;
    struct camera c;
    static uint8_t big[9 << 20];
    static const uint8_t unit[] = {0, 0, 0, 1, 0x41, 0x9a, 1, 2};
    camrill_iov_t pieces[65];
    camrill_frame_t frame;
    uint8_t data[256];
    size_t i;

    host_start(&h, 0);
    EQ(start(&h, &c, CAMRILL_CODEC_H264, CAMRILL_CODEC_NONE, 0), 0);
    EQ(camera_video(&c, 1, 10, 1), 0);
    for (i = 0; i < COUNT(pieces); i++) {
        pieces[i].data = unit;
        pieces[i].size = 0;
    }
#define WRONG(change, code, word)                               \
    do {                                                        \
        camrill_frame_t init = CAMRILL_FRAME_INIT;              \
        frame = init;                                           \
        frame.codec = CAMRILL_CODEC_H264;                       \
        frame.data = unit;                                      \
        frame.size = sizeof unit;                               \
        change;                                                 \
        EQ(camrill_publisher_write(c.publisher, &frame), code); \
        CHECK(strstr(why(NULL), word) != NULL);                 \
    } while (0)
    WRONG(frame.codec = CAMRILL_CODEC_AAC, CAMRILL_EINVAL, "none of the tracks");
    WRONG(frame.codec = CAMRILL_CODEC_VP9, CAMRILL_EINVAL, "none of the tracks");
    WRONG(frame.codec = -1, CAMRILL_EINVAL, "none of the tracks");
    WRONG(frame.pts_us = CAMRILL_TIME_NONE, CAMRILL_EINVAL, "pts_us");
    WRONG(frame.dts_us = 1, CAMRILL_EFRAME, "after the time of display");
    WRONG(frame.flags = 16, CAMRILL_EINVAL, "flags is 16");
    WRONG(frame.data = NULL, CAMRILL_EINVAL, "no data");
    WRONG(frame.size = 0, CAMRILL_EINVAL, "no data");
    WRONG((frame.data = big, frame.size = sizeof big), CAMRILL_EFRAME, "8388608");
    WRONG(frame.iov_count = 1, CAMRILL_EINVAL, "iov is NULL");
    WRONG((frame.iov = pieces, frame.iov_count = 1), CAMRILL_EINVAL, "both data and iov");
    WRONG((frame.data = NULL, frame.size = 0, frame.iov = pieces), CAMRILL_EINVAL, "iov_count is 0");
    WRONG((frame.data = NULL, frame.size = 0, frame.iov = pieces, frame.iov_count = 65), CAMRILL_EINVAL,
          "iov_count is 65");
    WRONG((frame.data = NULL, frame.size = 0, frame.iov = pieces, frame.iov_count = 64), CAMRILL_EINVAL,
          "all of iov is empty");
    pieces[0].data = NULL;
    pieces[0].size = 1;
    WRONG((frame.data = NULL, frame.size = 0, frame.iov = pieces, frame.iov_count = 2), CAMRILL_EINVAL,
          "iov[0].data is NULL");
    pieces[0].data = pieces[1].data = big;
    pieces[0].size = pieces[1].size = 5 << 20;
    WRONG((frame.data = NULL, frame.size = 0, frame.iov = pieces, frame.iov_count = 2), CAMRILL_EFRAME, "8388608");
    WRONG((frame.data = (const uint8_t *)"\0\0\0\5\x65\1\2", frame.size = 7), CAMRILL_EFRAME, "byte 0: no Annex B");
    WRONG((frame.data = (const uint8_t *)"\0\0\1\0\0\0\1", frame.size = 7), CAMRILL_EFRAME, "no picture");
    WRONG((frame.data = (const uint8_t *)"\0\0\1\xc1\x9a", frame.size = 5), CAMRILL_EFRAME, "byte 3: NAL unit header");
    WRONG((frame.data = (const uint8_t *)"\0\0\1\x41\x9a\0\0\1\x41\x9a", frame.size = 10), CAMRILL_EFRAME,
          "byte 8: a second picture");
    EQ(camera_video(&c, 0, 10, 2), 0);
    camrill_publisher_free(c.publisher);
    CHECK(camrill_engine_poll(h.engine, 0) >= 0);
    EQ(start(&h, &c, CAMRILL_CODEC_AV1, CAMRILL_CODEC_OPUS, 0), 0);
    WRONG((frame.codec = CAMRILL_CODEC_AV1, frame.data = (const uint8_t *)"\x32\2\x10", frame.size = 3),
          CAMRILL_EFRAME, "byte 0: truncated");
    WRONG((frame.codec = CAMRILL_CODEC_AV1, frame.data = (const uint8_t *)"\x32\1\x10", frame.size = 3),
          CAMRILL_EFRAME, "before its parameter sets");
    WRONG((frame.codec = CAMRILL_CODEC_AV1, frame.flags = CAMRILL_FRAME_NAL), CAMRILL_EINVAL, "no NAL units");
    WRONG((frame.codec = CAMRILL_CODEC_OPUS, frame.data = (const uint8_t *)"\xff", frame.size = 1), CAMRILL_EFRAME,
          "byte 0: truncated");
    camrill_publisher_free(c.publisher);
    CHECK(camrill_engine_poll(h.engine, 0) >= 0);
    EQ(start(&h, &c, CAMRILL_CODEC_NONE, CAMRILL_CODEC_MP3, 0), 0);
    memset(data, 0, sizeof data);
    WRONG((frame.codec = CAMRILL_CODEC_MP3, frame.data = data, frame.size = 9), CAMRILL_EFRAME, "byte 0: MP3");
    camrill_publisher_free(c.publisher);
    CHECK(camrill_engine_poll(h.engine, 0) >= 0);
    EQ(start(&h, &c, CAMRILL_CODEC_MJPEG, CAMRILL_CODEC_G711A, 0), 0);
    WRONG(frame.codec = CAMRILL_CODEC_MJPEG, CAMRILL_EFRAME, "no picture");
    WRONG((frame.codec = CAMRILL_CODEC_G711A, frame.flags = CAMRILL_FRAME_NAL), 0, "");
#undef WRONG
    camrill_publisher_free(c.publisher);
    host_free(&h);
}

/* What tracks may be, and what not. */
static void wrong_tracks(void)
{
    struct host h;
    camrill_publisher_config_t config;
    camrill_publisher_t *p = NULL;
    static uint8_t sets[1 << 17];
    size_t size = access_unit(sets, 1, 1, 1) - 5;

    host_start(&h, 0);
#define WRONG(change, word)                                                      \
    do {                                                                         \
        camrill_publisher_config_t init = CAMRILL_PUBLISHER_CONFIG_INIT;         \
        config = init;                                                           \
        config.app = "live";                                                     \
        config.name = "a";                                                       \
        config.tracks.video_codec = CAMRILL_CODEC_H264;                          \
        change;                                                                  \
        EQ(camrill_publisher_new(h.engine, &config, &p), *word ? CAMRILL_EINVAL : 0); \
        CHECK(*word ? strstr(why(h.engine), word) != NULL : p != NULL);          \
        if (!*word) {                                                            \
            camrill_publisher_free(p);                                           \
            CHECK(camrill_engine_poll(h.engine, 0) >= 0);                        \
        }                                                                        \
    } while (0)
    WRONG(config.tracks.video_codec = CAMRILL_CODEC_VP9, "video_codec is 10");
    WRONG(config.tracks.audio_codec = CAMRILL_CODEC_FLAC, "audio_codec is 11");
    WRONG(config.tracks.video_format = 2, "video_format is 2");
    WRONG(config.tracks.video_config_size = 1, "video_config is NULL");
    WRONG(config.tracks.video_config = sets, "video_config has 0 bytes");
    WRONG((config.tracks.video_config = sets, config.tracks.video_config_size = 1 << 17), "video_config has 131072");
    WRONG((config.tracks.video_config = (const uint8_t *)"\2", config.tracks.video_config_size = 1), "video_config");
    WRONG((config.tracks.video_config = sets, config.tracks.video_config_size = 29), "SPS");
    WRONG((config.tracks.audio_codec = CAMRILL_CODEC_OPUS, config.tracks.audio_channels = 3), "audio_channels is 3");
    WRONG((config.tracks.audio_codec = CAMRILL_CODEC_OPUS, config.tracks.audio_rate = 96000), "audio_rate is 96000");
    WRONG((config.tracks.audio_codec = CAMRILL_CODEC_G711U, config.tracks.audio_rate = 16000), "audio_rate is 16000");
    WRONG((config.tracks.audio_codec = CAMRILL_CODEC_OPUS, config.tracks.audio_config = raw_config,
           config.tracks.audio_config_size = 2), "audio_config");
    WRONG((config.tracks.video_config = sets, config.tracks.video_config_size = size), "");
    WRONG(config.tracks.video_codec = CAMRILL_CODEC_H265, "");
    WRONG(config.tracks.video_codec = CAMRILL_CODEC_AV1, "");
    WRONG(config.tracks.video_codec = CAMRILL_CODEC_MJPEG, "");
#undef WRONG
    host_free(&h);
}

/* In pieces, NAL unit by NAL unit, behind lengths, of 4 MB, after a break: as it comes to a player. */
static void ways_to_write(void)
{
    struct host h;
    struct camera c;
    struct rtmp *player;
    camrill_publisher_config_t config = CAMRILL_PUBLISHER_CONFIG_INIT;
    camrill_frame_t frame = CAMRILL_FRAME_INIT;
    camrill_iov_t pieces[64];
    static uint8_t data[(4 << 20) + 64];
    size_t i, n, size = access_unit(data, 1, 40, 1);

    memset(&c, 0, sizeof c);
    host_start(&h, 0);
    config.app = "live";
    config.name = "a";
    config.queue_bytes = 16 << 20;
    config.tracks.video_codec = CAMRILL_CODEC_H264;
    config.user = &c;
    config.need_keyframe = camera_key;
    EQ(camrill_publisher_new(h.engine, &config, &c.publisher), 0);
    player = rtmp_open(h.port, "live", "a", 0);
    UNTIL(&h, player, player->state == RTMP_GOING);

    /* Cut at every byte of what matters. */
    frame.codec = CAMRILL_CODEC_H264;
    frame.iov = pieces;
    frame.iov_count = COUNT(pieces);
    for (i = n = 0; i < COUNT(pieces); i++) {
        pieces[i].data = data + n;
        pieces[i].size = i + 1 < COUNT(pieces) ? 1 : size - n;
        n += pieces[i].size;
    }
    EQ(camrill_publisher_write(c.publisher, &frame), 0);
    UNTIL(&h, player, player->video == 1);

    /* Parameter sets, delimiters and slices by themselves; the next one's first ends it. */
    frame.iov = NULL;
    frame.iov_count = 0;
    frame.flags = CAMRILL_FRAME_NAL;
    for (i = 0; i < 3; i++) {
        static const char *const parts[] = {"\0\0\1\x09\xf0", "\0\0\0\1\x41\x9a\1", "\0\0\1\x41\x1a\2"};
        static const size_t sizes[] = {5, 7, 6};
        frame.pts_us = 40000;
        frame.data = (const uint8_t *)parts[i];
        frame.size = sizes[i];
        EQ(camrill_publisher_write(c.publisher, &frame), 0);
    }
    CHECK(camrill_engine_poll(h.engine, 0) >= 0);
    EQ(player->video, 1);
    frame.pts_us = 80000;
    EQ(camrill_publisher_write(c.publisher, &frame), 0);
    UNTIL(&h, player, player->video == 2);
    frame.flags = CAMRILL_FRAME_NAL | CAMRILL_FRAME_LAST;
    EQ(camrill_publisher_write(c.publisher, &frame), 0);
    UNTIL(&h, player, player->video == 3);

    /* The largest pictures there are. */
    frame.flags = 0;
    frame.pts_us = frame.dts_us = 120000;
    frame.data = data;
    frame.size = access_unit(data, 1, 4 << 20, 3);
    EQ(camrill_publisher_write(c.publisher, &frame), 0);
    UNTIL(&h, player, player->video == 4);

    /* A break: nothing up to the next keyframe, for which the encoder is asked. */
    frame.size = access_unit(data, 0, 10, 4);
    frame.pts_us = frame.dts_us = -5000000;
    frame.flags = CAMRILL_FRAME_DISCONTINUITY;
    EQ(c.keys, 0);
    EQ(camrill_publisher_write(c.publisher, &frame), 0);
    UNTIL(&h, player, c.keys == 1);
    EQ(player->video, 4);
    frame.flags = CAMRILL_FRAME_KEY;
    frame.pts_us = frame.dts_us = -4960000;
    EQ(camrill_publisher_write(c.publisher, &frame), 0);
    UNTIL(&h, player, player->video == 5);
    for (i = n = 0; i < (size_t)player->count; i++) {
        /* Those of decoding: the first ones are two pictures before display, as the SPS says. */
        static const uint32_t times[] = {0, 40, 80, 200, 280};
        static const size_t sizes[] = {5 + 4 + 40, 5 + 7 + 7, 5 + 14, 5 + 4 + (4 << 20), 5 + 14};
        if (player->media[i].type != 9 || player->media[i].head[1] != 1)
            continue;
        EQ(player->media[i].time, times[n]);
        EQ(player->media[i].size, sizes[n]);
        n++;
    }
    EQ(n, 5);
    /* What nothing says the end of goes out with the publisher. */
    frame.flags = CAMRILL_FRAME_NAL;
    frame.pts_us = frame.dts_us = -4920000;
    EQ(camrill_publisher_write(c.publisher, &frame), 0);
    camrill_publisher_free(c.publisher);
    UNTIL(&h, player, player->video == 6);
    rtmp_close(player, 0);
    host_free(&h);
}

/* While nobody polls, the queue fills: the frame is dropped, and all up to the next keyframe. */
static void a_full_queue(void)
{
    struct host h;
    struct camera c;
    struct rtmp *player;
    camrill_publisher_stats_t stats;
    camrill_stats_t totals;
    uint8_t data[64];
    int i, n, good = 0;

    host_start(&h, 0);
    EQ(camera_new(&c, &h, "a"), 0);
    player = rtmp_open(h.port, "live", "a", 0);
    UNTIL(&h, player, player->state == RTMP_GOING);
    EQ(camera_video(&c, 1, 20000, 1), 0);
    EQ(camera_video(&c, 0, 20000, 2), 0);
    EQ(camera_video(&c, 0, 20000, 3), 0);
    EQ(camera_video(&c, 0, 20000, 4), CAMRILL_EAGAIN);
    CHECK(strstr(why(NULL), "queue") != NULL);
    /* Room or not: what can't be shown without the lost one goes the same way. */
    EQ(camera_video(&c, 0, 10, 5), CAMRILL_EAGAIN);
    /* Audio doesn't wait for a keyframe. */
    EQ(write_frame(c.publisher, CAMRILL_CODEC_AAC, data, adts(data, 20, 7), c.clock), 0);
    stats.struct_size = sizeof stats;
    EQ(camrill_publisher_stats(c.publisher, &stats), 0);
    EQ(stats.written, 4);
    EQ(stats.dropped, 2);
    CHECK(stats.queued_bytes > 60000 && stats.queued_bytes < 65536);
    EQ(c.keys, 0);
    CHECK(camrill_engine_poll(h.engine, 0) >= 0);
    EQ(c.keys, 1);
    EQ(camrill_publisher_stats(c.publisher, &stats), 0);
    EQ(stats.queued_bytes, 0);
    /* Asked once, until it comes. */
    EQ(camera_video(&c, 0, 10, 6), CAMRILL_EAGAIN);
    CHECK(camrill_engine_poll(h.engine, 0) >= 0);
    EQ(c.keys, 1);
    EQ(camera_video(&c, 1, 100, 7), 0);
    EQ(camera_video(&c, 0, 100, 8), 0);
    UNTIL(&h, player, player->video == 5);
    {
        static const uint8_t expected[] = {1, 2, 3, 7, 8};
        for (i = n = 0; i < player->count; i++)
            if (player->media[i].type == 9 && player->media[i].head[1] == 1)
                EQ(player->media[i].head[10], expected[n++] | 0x80);
    }
    /* And once more when it is full again. */
    for (i = 0; i < 10; i++)
        good += camera_video(&c, 0, 20000, 9) == 0;
    EQ(good, 3);
    CHECK(camrill_engine_poll(h.engine, 0) >= 0);
    EQ(c.keys, 2);
    EQ(camrill_publisher_stats(c.publisher, &stats), 0);
    EQ(stats.written, 9);
    EQ(stats.dropped, 10);
    /* Many small ones fill its places. */
    EQ(camera_video(&c, 1, 10, 1), 0);
    for (good = 0; camera_video(&c, 0, 10, 1) == 0; good++)
        CHECK(good < 1000);
    CHECK(good > 60);
    /* A frame larger than the queue never fits. */
    CHECK(camrill_engine_poll(h.engine, 0) >= 0);
    EQ(camera_video(&c, 1, 70000, 1), CAMRILL_EAGAIN);
    totals.struct_size = sizeof totals;
    EQ(camrill_stats(h.engine, &totals), 0);
    EQ(totals.publishers, 1);
    camrill_publisher_free(c.publisher);
    rtmp_close(player, 0);
    host_free(&h);
}

/* A sequence header that was dropped with its frame goes out before the next one. */
static void a_dropped_header_comes_again(void)
{
    struct host h;
    struct camera c;
    struct rtmp *player;
    int i;
    host_start(&h, 0);
    EQ(camera_new(&c, &h, "a"), 0);
    player = rtmp_open(h.port, "live", "a", 0);
    UNTIL(&h, player, player->state == RTMP_GOING);
    EQ(camera_video(&c, 1, 70000, 1), CAMRILL_EAGAIN);
    EQ(camera_video(&c, 1, 100, 2), 0);
    UNTIL(&h, player, player->video == 1);
    for (i = 0; player->media[i].type != 9; i++) {
    }
    EQ(player->media[i].head[0], 0x17);
    EQ(player->media[i].head[1], 0);
    camrill_publisher_free(c.publisher);
    rtmp_close(player, 0);
    host_free(&h);
}

/* What is queued when a publisher ends still goes out. */
static void the_rest_goes_out(void)
{
    struct host h;
    struct camera c;
    struct rtmp *player;
    int i;
    host_start(&h, 0);
    EQ(camera_new(&c, &h, "a"), 0);
    player = rtmp_open(h.port, "live", "a", 0);
    UNTIL(&h, player, player->state == RTMP_GOING);
    for (i = 0; i < 20; i++)
        EQ(camera_video(&c, i == 0, 1000, 1), 0);
    camrill_publisher_free(c.publisher);
    UNTIL(&h, player, player->video == 20);
    EQ(c.freed, 1);
    /* The player stays, and the next publisher of the name is its too. */
    EQ(camera_new(&c, &h, "a"), 0);
    EQ(camera_video(&c, 1, 1000, 1), 0);
    UNTIL(&h, player, player->video == 21);
    camrill_publisher_free(c.publisher);
    rtmp_close(player, 0);
    host_free(&h);
}

/* A client of the network takes the name over, or doesn't. */
static void against_the_network(void)
{
    struct host h;
    struct camera c;
    struct rtmp *client;
    host_start(&h, 0);
    EQ(camera_new(&c, &h, "a"), 0);
    client = rtmp_open(h.port, "live", "a", 1);
    UNTIL(&h, client, client->state == RTMP_REFUSED);
    rtmp_close(client, 0);
    EQ(camera_video(&c, 1, 100, 1), 0);
    EQ(camrill_config_set(h.engine, "vhost/__defaultVhost__/publish/on_conflict", "replace"), 0);
    EQ(camrill_config_apply(h.engine), 0);
    client = rtmp_open(h.port, "live", "a", 1);
    UNTIL(&h, client, client->state == RTMP_GOING);
    EQ(camera_video(&c, 0, 100, 1), CAMRILL_ESTATE);
    EQ(c.freed, 1);
    camrill_publisher_free(c.publisher);
    /* And back again: the client is told by being closed. */
    EQ(camera_new(&c, &h, "a"), 0);
    UNTIL(&h, client, client->state == RTMP_CLOSED);
    EQ(camera_video(&c, 1, 100, 1), 0);
    rtmp_close(client, 0);
    camrill_publisher_free(c.publisher);
    host_free(&h);
}

/* The encoder's thread writes while the loop's thread runs. */
#define FRAMES 300

static void *encode(void *user)
{
    struct camera *c = user;
    int i, key = 1;
    for (i = 0; i < FRAMES; i++) {
        int32_t result = camera_video(c, key || i % 50 == 0, 700, (uint8_t)i);
        key = result == CAMRILL_EAGAIN;
        CHECK(result == 0 || result == CAMRILL_EAGAIN);
        if (i % 10 == 0)
            usleep(2000);
    }
    camrill_publisher_free(c->publisher);
    return NULL;
}

static void *run(void *user)
{
    struct host *h = user;
    EQ(camrill_engine_run(h->engine), 0);
    return NULL;
}

static void from_a_thread(void)
{
    struct host h;
    struct camera c;
    struct rtmp *player;
    pthread_t loop, encoder;
    int i, n = 0;
    host_start(&h, 0);
    EQ(camera_new(&c, &h, "a"), 0);
    EQ(pthread_create(&loop, NULL, run, &h), 0);
    player = rtmp_open(h.port, "live", "a", 0);
    UNTIL_CLIENT(player, player->state == RTMP_GOING);
    EQ(pthread_create(&encoder, NULL, encode, &c), 0);
    UNTIL_CLIENT(player, player->video > 0 && player->media[player->count - 1].type == 9 &&
                             player->media[player->count - 1].head[10] == (((FRAMES - 1) & 255) | 0x80));
    EQ(pthread_join(encoder, NULL), 0);
    EQ(camrill_engine_stop(h.engine), 0);
    EQ(pthread_join(loop, NULL), 0);
    for (i = 0; i < player->count; i++)
        n += player->media[i].type == 9 && player->media[i].head[1] == 1;
    CHECK(n <= FRAMES && n > 0);
    rtmp_close(player, 0);
    host_free(&h);
    EQ(c.freed, 1);
}

struct torn {
    struct camera camera;
    int32_t result;
};

static void *write_on(void *user)
{
    struct torn *t = user;
    do {
        t->result = camera_video(&t->camera, 1, 500, 1);
    } while (t->result == 0 || t->result == CAMRILL_EAGAIN);
    camrill_publisher_free(t->camera.publisher);
    return NULL;
}

/* The engine is freed under a thread that writes: the next write says so. */
static void the_engine_goes_first(void)
{
    int i;
    for (i = 0; i < 5; i++) {
        struct host h;
        struct torn t;
        pthread_t thread;
        host_start(&h, 0);
        EQ(camera_new(&t.camera, &h, "a"), 0);
        EQ(pthread_create(&thread, NULL, write_on, &t), 0);
        CHECK(camrill_engine_poll(h.engine, 5) >= 0);
        CHECK(camrill_engine_poll(h.engine, 1) >= 0);
        host_free(&h);
        EQ(pthread_join(thread, NULL), 0);
        EQ(t.result, CAMRILL_ESTATE);
        EQ(t.camera.freed, 1);
    }
}

struct followed {
    struct camera camera; /* the first: what user_free gets */
    int hints;
    uint32_t hint, least;
};

static void on_hint(void *user, uint32_t bits_per_second)
{
    struct followed *f = user;
    CHECK(!f->camera.freed);
    f->hints++;
    f->hint = bits_per_second;
    if (bits_per_second != 0 && bits_per_second < f->least)
        f->least = bits_per_second;
}

/* 4 Mbit/s for a player who takes a fifth of that: the encoder hears of it, until the player goes. */
static void the_rate_that_is_held(void)
{
    struct host h;
    struct followed f;
    struct rtmp *player;
    camrill_publisher_config_t config = CAMRILL_PUBLISHER_CONFIG_INIT;
    camrill_stream_info_t info;
    camrill_id_t stream;
    static uint8_t data[21000], taken[4000];
    int64_t begun, next;
    int n, small = 4096;

    memset(&f, 0, sizeof f);
    f.least = UINT32_MAX;
    host_start(&h, 0);
    config.tracks.video_codec = CAMRILL_CODEC_H264;
    config.app = "live";
    config.name = "a";
    config.user = &f;
    config.user_free = camera_freed;
    config.rate_hint = on_hint;
    config.rate_min = 300000;
    config.rate_max = 4000000;
    f.camera.host = &h;
    EQ(camrill_publisher_new(h.engine, &config, &f.camera.publisher), 0);
    EQ(write_frame(f.camera.publisher, CAMRILL_CODEC_H264, data, access_unit(data, 1, 1000, 1), 0), 0);
    player = rtmp_open(h.port, "live", "a", 0);
    EQ(setsockopt(player->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
    UNTIL(&h, player, player->video > 0);
    EQ(f.hints, 0);
    next = begun = now_ms();
    for (n = 1; f.hint == 0 || f.hint > 1500000; n++) {
        size_t size = access_unit(data, n % 25 == 0, 20000, 1);
        CHECK(now_ms() < begun + 30000);
        EQ(write_frame(f.camera.publisher, CAMRILL_CODEC_H264, data, size, n * 40000), 0);
        for (next += 40; now_ms() < next;)
            CHECK(camrill_engine_poll(h.engine, (int32_t)(next - now_ms() > 0 ? next - now_ms() : 0)) >= 0);
        CHECK(recv(player->fd, taken, sizeof taken, MSG_DONTWAIT) != 0);
    }
    CHECK(f.least >= 300000);
    EQ(camrill_streams(h.engine, &stream, 1), 1);
    info.struct_size = sizeof info;
    EQ(camrill_stream_info(h.engine, stream, &info), 0);
    EQ(info.rate_hint, f.hint);
    rtmp_close(player, 0);
    UNTIL(&h, NULL, f.hint == 0);
    EQ(camrill_stream_info(h.engine, stream, &info), 0);
    EQ(info.rate_hint, 0);
    camrill_publisher_free(f.camera.publisher);
    UNTIL(&h, NULL, f.camera.freed == 1);
    host_free(&h);
}

int main(void)
{
    RUN(adts_and_raw_aac);
    RUN(invalid_frames);
    RUN(wrong_frames);
    RUN(wrong_tracks);
    RUN(ways_to_write);
    RUN(a_full_queue);
    RUN(a_dropped_header_comes_again);
    RUN(the_rest_goes_out);
    RUN(against_the_network);
    RUN(from_a_thread);
    RUN(the_engine_goes_first);
    RUN(the_rate_that_is_held);
    return 0;
}
