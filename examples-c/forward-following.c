/* A stream that is forwarded to another server, and an encoder that makes no more than the way there holds: the
 * library says how much that is, and each word of it is printed.
 *
 * The "encoder" makes a grey picture and fills its frames up to its rate, as encoders of a constant rate do.
 *
 * forward-following rtmp://SERVER/live/STREAM|- [PORT] [KBPS] [SECONDS]
 *     -: there is only who plays rtmp://HERE:PORT/live/camera. SECONDS 0 (the default): without end */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <camrill.h>

enum { FPS = 25, GOP = 2 * FPS, KEY = 5 }; /* a keyframe is as long as KEY others */

struct encoder {
    int64_t start;
    uint32_t most, rate; /* bits per second */
    uint8_t frame[1 << 20];
};

static int64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* On the loop's thread, which is the encoder's here; a real one would be told its new bitrate. */
static void rate_hint(void *user, uint32_t bits_per_second)
{
    struct encoder *e = user;
    e->rate = bits_per_second == 0 || bits_per_second > e->most ? e->most : bits_per_second;
    printf("%lld ms: hint %lu, rate %lu\n", (long long)(now_us() - e->start) / 1000,
           (unsigned long)bits_per_second, (unsigned long)e->rate);
    fflush(stdout);
}

static size_t put(uint8_t *to, const void *bytes, size_t size)
{
    memcpy(to, bytes, size);
    return size;
}

/* Frame `n` as an access unit in Annex B: one macroblock of raw samples, or one that is skipped. */
static size_t encode(struct encoder *e, uint32_t n)
{
    size_t unit = e->rate / 8 / FPS * GOP / (GOP - 1 + KEY);
    size_t full = n % GOP == 0 ? KEY * unit : unit, size = 0;
    if (n % GOP == 0) {
        size += put(e->frame, "\0\0\0\1\x67\x42\xc0\x1e\xda\x79\0\0\0\1\x68\xce\x38\x80", 18);
        size += put(e->frame + size, "\0\0\0\1\x65\x88\x84\x86\x80", 9);
        memset(e->frame + size, 0x80, 384 + 1); /* Y, U, V, and the slice's stop bit */
        size += 384 + 1;
    } else {
        uint8_t slice[8] = {0, 0, 0, 1, 0x41, 0x9a, 0x02, 0xa0};
        slice[5] |= (uint8_t)(n % GOP % 16 >> 3); /* frame_num */
        slice[6] |= (uint8_t)(n % GOP % 16 << 5);
        size += put(e->frame, slice, sizeof slice);
    }
    if (full > sizeof e->frame)
        full = sizeof e->frame;
    if (full > size + 6) { /* filler data */
        size += put(e->frame + size, "\0\0\0\1\x0c", 5);
        memset(e->frame + size, 0xff, full - size - 1);
        e->frame[full - 1] = 0x80;
        size = full;
    }
    return size;
}

int main(int argc, char **argv)
{
    static struct encoder e;
    camrill_engine_config_t config = CAMRILL_ENGINE_CONFIG_INIT;
    camrill_publisher_config_t camera = CAMRILL_PUBLISHER_CONFIG_INIT;
    camrill_forward_config_t to = CAMRILL_FORWARD_CONFIG_INIT;
    camrill_frame_t frame = CAMRILL_FRAME_INIT;
    camrill_engine_t *engine;
    camrill_publisher_t *publisher = NULL;
    camrill_forward_t *forward = NULL;
    char text[512];
    uint32_t n;

    if (argc < 2) {
        fprintf(stderr, "usage: forward-following URL|- [PORT] [KBPS] [SECONDS]\n");
        return 2;
    }
    e.rate = e.most = (argc > 3 ? (uint32_t)atol(argv[3]) : 4000) * 1000;
    camera.tracks.video_codec = CAMRILL_CODEC_H264;
    camera.app = to.app = "live";
    camera.name = to.name = "camera";
    camera.user = &e;
    camera.rate_hint = rate_hint;
    camera.rate_min = 200000;
    camera.rate_max = e.most;
    to.url = argv[1];
    e.start = now_us();
    if (camrill_engine_new(&config, &engine) < 0 ||
        camrill_config_set(engine, "listen", argc > 2 ? argv[2] : "1935") < 0 ||
        /* What can't be sent within two seconds is left out up to a keyframe. */
        camrill_config_set(engine, "vhost/__defaultVhost__/play/queue_length", "2") < 0 ||
        camrill_config_apply(engine) < 0 || camrill_publisher_new(engine, &camera, &publisher) < 0 ||
        (argv[1][0] != '-' && camrill_forward_new(engine, &to, &forward) < 0)) {
        camrill_engine_last_error(engine, text, sizeof text);
        fprintf(stderr, "forward-following: %s\n", text);
        camrill_publisher_free(publisher);
        camrill_engine_free(engine);
        return 1;
    }
    printf("rtmp port %d\n", (int)camrill_engine_port(engine, "rtmp"));
    fflush(stdout);
    for (n = 0; argc < 5 || atol(argv[4]) == 0 || n < FPS * (uint32_t)atol(argv[4]); n++) {
        int64_t wait;
        while ((wait = e.start + (int64_t)n * 1000000 / FPS - now_us()) > 0)
            camrill_engine_poll(engine, (int32_t)(wait / 1000));
        frame.codec = CAMRILL_CODEC_H264;
        frame.data = e.frame;
        frame.size = encode(&e, n);
        frame.pts_us = frame.dts_us = (int64_t)n * 1000000 / FPS;
        if (camrill_publisher_write(publisher, &frame) < 0)
            break;
    }
    camrill_forward_free(forward);
    camrill_publisher_free(publisher);
    camrill_engine_free(engine);
    return 0;
}
