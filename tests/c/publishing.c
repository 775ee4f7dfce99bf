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
        frame.pts_us = INT64_MIN;
        frame.dts_us = INT64_MAX;
        EQ(camrill_publisher_write(c.publisher, &frame), 0);
        frame.pts_us = INT64_MAX;
        frame.dts_us = INT64_MIN;
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

int main(void)
{
    RUN(adts_and_raw_aac);
    RUN(invalid_frames);
    RUN(a_full_queue);
    RUN(a_dropped_header_comes_again);
    RUN(the_rest_goes_out);
    RUN(against_the_network);
    RUN(from_a_thread);
    RUN(the_engine_goes_first);
    return 0;
}
