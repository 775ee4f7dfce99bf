/* A thread that plays encoder: it feeds the access units of an FLV clip, in real time and over and over,
 * while the main thread serves them as rtmp://127.0.0.1:PORT/live/camera.
 *
 * encoder-thread CLIP.flv [PORT] [LOOPS]     LOOPS 0 (the default): without end */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <camrill.h>

struct encoder {
    camrill_engine_t *engine;
    camrill_publisher_t *publisher;
    const uint8_t *clip;
    size_t size;
    int loops;
    uint8_t out[1 << 20]; /* one access unit in Annex B, as a hardware encoder hands it over */
    size_t length;
};

static const uint8_t start_code[4] = {0, 0, 0, 1};

static uint32_t be(const uint8_t *p, int bytes)
{
    uint32_t value = 0;
    while (bytes-- > 0)
        value = value << 8 | *p++;
    return value;
}

static void put(struct encoder *e, const uint8_t *data, size_t size)
{
    if (size > sizeof e->out - e->length)
        size = sizeof e->out - e->length;
    memcpy(e->out + e->length, data, size);
    e->length += size;
}

static void put_nal(struct encoder *e, const uint8_t *data, size_t size)
{
    put(e, start_code, 4);
    put(e, data, size);
}

/* The parameter sets of an AVC sequence header, which a camera sends before each keyframe. */
static void put_parameter_sets(struct encoder *e, const uint8_t *p, const uint8_t *end)
{
    int round;
    for (round = 0, p += 5; round < 2 && p < end; round++) {
        int count = *p++ & (round == 0 ? 31 : 255);
        while (count-- > 0 && end - p > 2 && (size_t)(end - p - 2) >= be(p, 2)) {
            put_nal(e, p + 2, be(p, 2));
            p += 2 + be(p, 2);
        }
    }
}

static void send_frame(struct encoder *e, int32_t codec, const uint8_t *data, size_t size, int64_t pts, int64_t dts)
{
    camrill_frame_t frame = CAMRILL_FRAME_INIT;
    frame.codec = codec;
    frame.data = data;
    frame.size = size;
    frame.pts_us = pts;
    frame.dts_us = dts;
    if (camrill_publisher_write(e->publisher, &frame) == CAMRILL_EAGAIN)
        fprintf(stderr, "encoder: the queue is full, a frame is dropped\n");
}

static void video(struct encoder *e, const uint8_t *body, size_t size, int64_t dts, const uint8_t **avcc)
{
    const uint8_t *p = body + 5, *end = body + size;
    int32_t composition = (int32_t)(be(body + 2, 3) << 8) >> 8;
    if (body[1] == 0) { /* the sequence header */
        *avcc = p;
        avcc[1] = end;
        return;
    }
    e->length = 0;
    if (body[0] >> 4 == 1 && *avcc != NULL)
        put_parameter_sets(e, *avcc, avcc[1]);
    while (end - p > 4 && (size_t)(end - p - 4) >= be(p, 4)) {
        put_nal(e, p + 4, be(p, 4));
        p += 4 + be(p, 4);
    }
    send_frame(e, CAMRILL_CODEC_H264, e->out, e->length, dts + composition * 1000, dts);
}

/* Raw AAC behind an ADTS header, which is what most encoders give. */
static void audio(struct encoder *e, const uint8_t *body, size_t size, int64_t dts, uint8_t config[2])
{
    size_t length = size - 2 + 7;
    uint8_t adts[7] = {0xff, 0xf1, 0, 0, 0, 0x1f, 0xfc};
    if (body[1] == 0) {
        if (size >= 4)
            memcpy(config, body + 2, 2);
        return;
    }
    adts[2] = (uint8_t)((((config[0] >> 3) - 1) << 6) | ((config[0] & 7) << 3) | (config[1] >> 7 << 2));
    adts[3] = (uint8_t)((config[1] >> 3 & 3) << 6 | length >> 11);
    adts[4] = (uint8_t)(length >> 3);
    adts[5] |= (uint8_t)(length << 5);
    adts[2] |= config[1] >> 5 & 1;
    e->length = 0;
    put(e, adts, 7);
    put(e, body + 2, size - 2);
    send_frame(e, CAMRILL_CODEC_AAC, e->out, e->length, dts, dts);
}

static void *encode(void *user)
{
    struct encoder *e = user;
    const uint8_t *avcc[2] = {NULL, NULL};
    uint8_t config[2] = {0x12, 0x10};
    struct timespec start;
    int64_t base = 0;
    int loop;
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (loop = 0; e->loops == 0 || loop < e->loops; loop++) {
        const uint8_t *p = e->clip + 13, *end = e->clip + e->size;
        int64_t last = 0;
        while (end - p > 11 && (size_t)(end - p - 11) >= be(p + 1, 3)) {
            size_t size = be(p + 1, 3);
            int64_t dts = base + (int64_t)(be(p + 4, 3) | (uint32_t)p[7] << 24) * 1000;
            struct timespec due = start;
            due.tv_sec += (time_t)(dts / 1000000);
            due.tv_nsec += (long)(dts % 1000000) * 1000;
            if (due.tv_nsec >= 1000000000) {
                due.tv_sec++;
                due.tv_nsec -= 1000000000;
            }
            clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
            if (p[0] == 9 && size > 5)
                video(e, p + 11, size, dts, avcc);
            else if (p[0] == 8 && size > 2)
                audio(e, p + 11, size, dts, config);
            last = dts;
            p += 11 + size + 4;
        }
        base = last + 40000;
    }
    camrill_publisher_free(e->publisher);
    camrill_engine_stop(e->engine);
    return NULL;
}

static void need_keyframe(void *user)
{
    (void)user;
    fprintf(stderr, "encoder: a keyframe is wanted; a clip has them where it has them\n");
}

int main(int argc, char **argv)
{
    static struct encoder e;
    camrill_engine_config_t config = CAMRILL_ENGINE_CONFIG_INIT;
    camrill_publisher_config_t publisher = CAMRILL_PUBLISHER_CONFIG_INIT;
    pthread_t thread;
    FILE *file = argc > 1 ? fopen(argv[1], "rb") : NULL;
    uint8_t *clip = malloc(16 << 20);
    char text[512];

    if (file == NULL || clip == NULL || (e.size = fread(clip, 1, 16 << 20, file)) < 13) {
        fprintf(stderr, "usage: encoder-thread CLIP.flv [PORT] [LOOPS]\n");
        return 2;
    }
    fclose(file);
    e.clip = clip;
    e.loops = argc > 3 ? atoi(argv[3]) : 0;
    publisher.tracks.video_codec = CAMRILL_CODEC_H264;
    publisher.tracks.audio_codec = CAMRILL_CODEC_AAC;
    publisher.app = "live";
    publisher.name = "camera";
    publisher.need_keyframe = need_keyframe;
    if (camrill_engine_new(&config, &e.engine) < 0 ||
        camrill_config_set(e.engine, "listen", argc > 2 ? argv[2] : "1935") < 0 ||
        camrill_config_apply(e.engine) < 0 ||
        camrill_publisher_new(e.engine, &publisher, &e.publisher) < 0) {
        camrill_engine_last_error(e.engine, text, sizeof text);
        fprintf(stderr, "encoder-thread: %s\n", text);
        camrill_engine_free(e.engine);
        return 1;
    }
    printf("rtmp://127.0.0.1:%d/live/camera\n", (int)camrill_engine_port(e.engine, "rtmp"));
    fflush(stdout);
    pthread_create(&thread, NULL, encode, &e);
    camrill_engine_run(e.engine);
    pthread_join(thread, NULL);
    camrill_engine_free(e.engine);
    free(clip);
    return 0;
}
