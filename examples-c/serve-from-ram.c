/* Low-latency HLS out of memory: an encoder's H.264 comes by standard input, and the program answers for its own path
 * of the web server with what the library keeps. Nothing is written anywhere.
 *
 * ffmpeg -re -i assets/clip.flv -c:v libx264 -bf 0 -g 25 -x264-params aud=1 -f h264 - | serve-from-ram [PORT]
 *     then: ffplay http://127.0.0.1:8080/camera/live.m3u8 */
#define _POSIX_C_SOURCE 200809L
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <camrill.h>

#define PATH "/camera/"
#define COUNT(array) (sizeof(array) / sizeof *(array))

static camrill_engine_t *engine;
static camrill_hls_t *hls;
static uint8_t input[4 << 20], output[4 << 20];

/* Who has asked for what is to come. */
static struct {
    camrill_id_t ticket;
    char name[64], query[128];
} waiting[256];

/* Answers from memory; 0 if that is to come. */
static int answer(camrill_id_t ticket, const char *name, const char *query)
{
    int32_t size = camrill_hls_get(hls, name, query, output, sizeof output);
    int is_list = strstr(name, ".m3u8") != NULL;
    if (size == CAMRILL_EAGAIN)
        return 0;
    camrill_http_respond(engine, ticket, size >= 0 ? 200 : size == CAMRILL_EINVAL ? 400 : 404,
                         is_list ? "Content-Type: application/vnd.apple.mpegurl\r\nCache-Control: no-cache"
                                 : "Content-Type: video/mp4",
                         output, size >= 0 ? (size_t)size : 0);
    return 1;
}

static void on_request(void *user, const camrill_http_request_t *request)
{
    const char *name = request->path + strlen(PATH);
    size_t i = 0;
    (void)user;
    if (answer(request->ticket, name, request->query))
        return;
    while (i < COUNT(waiting) && waiting[i].ticket != 0)
        i++;
    if (i == COUNT(waiting) || strlen(name) >= sizeof waiting[i].name ||
        strlen(request->query) >= sizeof waiting[i].query) {
        camrill_http_respond(engine, request->ticket, 503, NULL, NULL, 0);
        return;
    }
    waiting[i].ticket = request->ticket;
    strcpy(waiting[i].name, name);
    strcpy(waiting[i].query, request->query);
}

/* The client has gone, or waited for a minute. */
static void on_closed(void *user, camrill_id_t ticket)
{
    size_t i;
    (void)user;
    for (i = 0; i < COUNT(waiting); i++)
        if (waiting[i].ticket == ticket)
            waiting[i].ticket = 0;
}

static void write_frame(const uint8_t *data, size_t size)
{
    static int64_t frames;
    camrill_frame_t frame = CAMRILL_FRAME_INIT;
    size_t i;
    frame.codec = CAMRILL_CODEC_H264;
    frame.data = data;
    frame.size = size;
    frame.pts_us = frame.dts_us = frames++ * 40000;
    if (camrill_hls_write(hls, &frame) < 0)
        fprintf(stderr, "serve-from-ram: frame %d is left out\n", (int)frames);
    for (i = 0; i < COUNT(waiting); i++)
        if (waiting[i].ticket != 0 && answer(waiting[i].ticket, waiting[i].name, waiting[i].query))
            waiting[i].ticket = 0;
}

/* Reads what the encoder has written; an access unit ends where the next one's delimiter begins. 0 at the end. */
static int read_frames(void)
{
    static size_t length;
    ssize_t count = read(STDIN_FILENO, input + length, sizeof input - length);
    size_t at, begin = 0;
    if (count <= 0)
        return 0;
    length += (size_t)count;
    for (at = 1; at + 4 <= length; at++)
        if (memcmp(input + at, "\0\0\1\11", 4) == 0) {
            /* What stands before the first one is its start code's fourth byte. */
            if (at - begin > 4)
                write_frame(input + begin, at - begin);
            begin = at;
        }
    length -= begin;
    memmove(input, input + begin, length);
    return 1;
}

int main(int argc, char **argv)
{
    camrill_http_mount_t mount = CAMRILL_HTTP_MOUNT_INIT;
    camrill_hls_config_t config = CAMRILL_HLS_CONFIG_INIT;
    struct pollfd fds[2] = {{STDIN_FILENO, POLLIN, 0}, {-1, POLLIN, 0}};
    char why[512];

    mount.path = PATH "*";
    mount.on_request = on_request;
    mount.on_closed = on_closed;
    config.tracks.video_codec = CAMRILL_CODEC_H264;
    config.fragment_ms = 2000;
    config.window_ms = 20000;
    config.part_ms = 320;
    if (camrill_engine_new(NULL, &engine) < 0 || camrill_config_set(engine, "listen", "127.0.0.1:0") < 0 ||
        camrill_config_set(engine, "http_server/enabled", "on") < 0 ||
        camrill_config_set(engine, "http_server/listen", argc > 1 ? argv[1] : "8080") < 0 ||
        camrill_config_apply(engine) < 0 || camrill_hls_new(engine, &config, &hls) < 0 ||
        camrill_http_mount(engine, &mount, NULL) < 0) {
        camrill_engine_last_error(engine, why, sizeof why);
        fprintf(stderr, "serve-from-ram: %s\n", why);
        camrill_engine_free(engine);
        camrill_hls_free(hls);
        return 1;
    }
    printf("http://127.0.0.1:%d%slive.m3u8\n", (int)camrill_engine_port(engine, "http"), PATH);
    fflush(stdout);
    fds[1].fd = camrill_engine_fd(engine);
    while (poll(fds, 2, camrill_engine_timeout_ms(engine)) >= 0) {
        if (fds[0].revents != 0 && !read_frames())
            break;
        if (camrill_engine_poll(engine, 0) < 0)
            break;
    }
    camrill_hls_free(hls);
    camrill_engine_free(engine);
    return 0;
}
