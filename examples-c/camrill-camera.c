/* A camera as a server: what a hardware encoder gives is served over RTMP, HTTP-FLV and HLS, with a page at /.
 *
 * camrill-camera [-c FILE] [-s APP/NAME] [-5] [-f FPS] [-w WIDTHxHEIGHT] [DEVICE]
 *
 *     rpicam-vid -t 0 --inline -o - | camrill-camera
 *     camrill-camera -w 1280x720 /dev/video2
 *
 * Without DEVICE it reads H.264 in annex B from standard input, as it comes from a live encoder without B-frames;
 * with -5 H.265. A frame's time is when it comes, or with -f what that many frames a second make it. DEVICE is a
 * V4L2 camera that gives H.264 (with -5 HEVC): its buffers go to the players without a copy, and it makes no more
 * than what the network holds. -s names the stream (live/camera), -c is a configuration in SRS's syntax; without one
 * the ports are 1935, 8080 and 1985. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <camrill.h>

#define BUFFERS 8

struct buffer {
    int fd;
    uint32_t index;
    uint8_t *data;
    size_t size;
};

struct camera {
    camrill_publisher_t *publisher;
    int32_t codec;
    double fps;
    int64_t frames; /* begun so far, for -f */
    /* Of standard input. */
    uint8_t *in;
    size_t size, used, scanned; /* room, bytes there, and how far they have no second start code */
    int64_t arrived;            /* when the oldest of them came */
    int64_t time;               /* of the frame that is being read */
    int is_whole;               /* it has all that belongs to it: what comes is the next one's */
    int has_slice;              /* a slice of it has come */
    /* Of a device. */
    int device, bitrate;
    struct buffer buffers[BUFFERS];
    uint32_t buffer_count;
};

static const char configuration[] =
    "listen 1935; http_api { enabled on; listen 1985; } http_server { enabled on; listen 8080; dir \"\"; }"
    "vhost __defaultVhost__ { http_remux { enabled on; } hls { enabled on; hls_path \"\"; } }";

static volatile sig_atomic_t stopped;

static void on_signal(int signal)
{
    (void)signal;
    stopped = 1;
}

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void complain(const char *what, int32_t error)
{
    char why[256];
    camrill_engine_last_error(NULL, why, sizeof why);
    fprintf(stderr, "camrill-camera: %s: %s: %s\n", what, camrill_strerror(error), why);
}

/* ---- standard input: NAL units, which the library puts together to frames ---- */

static int is_slice(const struct camera *camera, const uint8_t *nal)
{
    return camera->codec == CAMRILL_CODEC_H264 ? (nal[0] & 31) == 1 || (nal[0] & 31) == 5 : (nal[0] >> 1 & 63) < 32;
}

/* Whether a frame begins with this NAL unit, if the last one has its slices. */
static int begins_frame(const struct camera *camera, const uint8_t *nal)
{
    int type;
    if (camera->codec == CAMRILL_CODEC_H264) {
        type = nal[0] & 31;
        return is_slice(camera, nal) ? nal[1] & 0x80 : type >= 6 && type <= 9;
    }
    type = nal[0] >> 1 & 63;
    return is_slice(camera, nal) ? nal[2] & 0x80 : (type >= 32 && type <= 35) || type == 39;
}

static void begin_frame(struct camera *camera)
{
    if (camera->fps > 0)
        camera->time = (int64_t)((double)camera->frames * 1e6 / camera->fps);
    else
        camera->time = camera->is_whole ? camera->arrived : now_us();
    camera->frames++;
    camera->is_whole = camera->has_slice = 0;
}

/* A NAL unit behind its start code; `last` says that its frame is whole with it. */
static void send_nal(struct camera *camera, const uint8_t *data, size_t size, int last)
{
    camrill_frame_t frame = CAMRILL_FRAME_INIT;
    size_t head = 0;
    int32_t result;
    while (head + 3 < size && data[head] == 0)
        head++;
    if (size < head + 4)
        return;
    if (camera->is_whole || (camera->has_slice && begins_frame(camera, data + head + 1)))
        begin_frame(camera);
    camera->has_slice |= is_slice(camera, data + head + 1);
    camera->is_whole = last && camera->has_slice;
    frame.codec = camera->codec;
    frame.pts_us = frame.dts_us = camera->time;
    frame.data = data;
    frame.size = size;
    frame.flags = CAMRILL_FRAME_NAL | (camera->is_whole ? CAMRILL_FRAME_LAST : 0);
    result = camrill_publisher_write(camera->publisher, &frame);
    if (result < 0 && result != CAMRILL_EAGAIN)
        complain("a NAL unit is left out", result);
}

static void drop(struct camera *camera, size_t size)
{
    camera->used -= size;
    memmove(camera->in, camera->in + size, camera->used);
    camera->scanned = 0;
}

/* All NAL units that are whole since the next one has begun; with `all` the last one too. */
static void send_nals(struct camera *camera, int all)
{
    size_t begin = 0, at = camera->scanned > 3 ? camera->scanned : 3;
    for (; at + 3 <= camera->used; at++) {
        const uint8_t *p = camera->in + at;
        if (p[0] != 0 || p[1] != 0 || p[2] != 1)
            continue;
        at -= p[-1] == 0 && at > begin; /* a start code of four bytes */
        send_nal(camera, camera->in + begin, at - begin, 0);
        begin = at;
        at += 3;
    }
    camera->scanned = at;
    if (all) {
        send_nal(camera, camera->in + begin, camera->used - begin, 1);
        begin = camera->used;
    }
    if (begin > 0)
        drop(camera, begin);
}

/* 0 at the end. */
static int read_input(struct camera *camera)
{
    ssize_t n = read(0, camera->in + camera->used, camera->size - camera->used);
    if (n <= 0)
        return n < 0 && (errno == EINTR || errno == EAGAIN);
    if (camera->used == 0)
        camera->arrived = now_us();
    camera->used += (size_t)n;
    send_nals(camera, 0);
    if (camera->used == camera->size) {
        fprintf(stderr, "camrill-camera: %zu bytes without a start code are left out\n", camera->used);
        drop(camera, camera->used);
    }
    return 1;
}

/* ---- a V4L2 device: whole frames, in buffers that are lent ---- */

static int control(int fd, unsigned long request, void *argument)
{
    int result;
    do
        result = ioctl(fd, request, argument);
    while (result < 0 && errno == EINTR);
    return result;
}

/* Gives a buffer back to the device: nobody sends from it any more. */
static void release(void *user)
{
    struct buffer *buffer = user;
    struct v4l2_buffer empty;
    memset(&empty, 0, sizeof empty);
    empty.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
    empty.memory = V4L2_MEMORY_MMAP;
    empty.index = buffer->index;
    control(buffer->fd, VIDIOC_QBUF, &empty);
}

static int open_device(struct camera *camera, const char *path, unsigned width, unsigned height)
{
    struct v4l2_format format;
    struct v4l2_requestbuffers wanted;
    enum v4l2_buf_type type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
    uint32_t coding = camera->codec == CAMRILL_CODEC_H264 ? V4L2_PIX_FMT_H264 : V4L2_PIX_FMT_HEVC;
    int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    memset(&format, 0, sizeof format);
    memset(&wanted, 0, sizeof wanted);
    format.type = wanted.type = type;
    wanted.memory = V4L2_MEMORY_MMAP;
    wanted.count = BUFFERS;
    if (fd < 0 || control(fd, VIDIOC_G_FMT, &format) < 0)
        return -1;
    format.fmt.pix.pixelformat = coding;
    if (width > 0) {
        format.fmt.pix.width = width;
        format.fmt.pix.height = height;
    }
    if (control(fd, VIDIOC_S_FMT, &format) < 0 || control(fd, VIDIOC_REQBUFS, &wanted) < 0)
        return -1;
    if (format.fmt.pix.pixelformat != coding) {
        errno = ENOTSUP;
        return -1;
    }
    camera->device = fd;
    for (; camera->buffer_count < wanted.count && camera->buffer_count < BUFFERS; camera->buffer_count++) {
        struct buffer *buffer = &camera->buffers[camera->buffer_count];
        struct v4l2_buffer found;
        memset(&found, 0, sizeof found);
        found.type = type;
        found.memory = V4L2_MEMORY_MMAP;
        found.index = camera->buffer_count;
        if (control(fd, VIDIOC_QUERYBUF, &found) < 0)
            return -1;
        buffer->fd = fd;
        buffer->index = found.index;
        buffer->size = found.length;
        buffer->data = mmap(NULL, found.length, PROT_READ, MAP_SHARED, fd, found.m.offset);
        if (buffer->data == MAP_FAILED)
            return -1;
        release(buffer);
    }
    return control(fd, VIDIOC_STREAMON, &type);
}

/* 0 when the device is gone. */
static int read_device(struct camera *camera)
{
    camrill_frame_t frame = CAMRILL_FRAME_INIT;
    struct v4l2_buffer full;
    int32_t result;
    memset(&full, 0, sizeof full);
    full.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
    full.memory = V4L2_MEMORY_MMAP;
    if (control(camera->device, VIDIOC_DQBUF, &full) < 0)
        return errno == EAGAIN;
    if (full.index >= camera->buffer_count)
        return 0;
    frame.codec = camera->codec;
    frame.data = camera->buffers[full.index].data;
    frame.size = full.bytesused;
    frame.pts_us = (int64_t)full.timestamp.tv_sec * 1000000 + full.timestamp.tv_usec;
    result = camrill_publisher_write_ref(camera->publisher, &frame, release, &camera->buffers[full.index]);
    if (result < 0 && result != CAMRILL_EAGAIN)
        complain("a frame is left out", result);
    return 1;
}

static void need_keyframe(void *user)
{
    struct camera *camera = user;
    struct v4l2_control force;
    memset(&force, 0, sizeof force);
    force.id = V4L2_CID_MPEG_VIDEO_FORCE_KEY_FRAME;
    force.value = 1;
    if (camera->device >= 0)
        control(camera->device, VIDIOC_S_CTRL, &force);
}

static void rate_hint(void *user, uint32_t bits_per_second)
{
    struct camera *camera = user;
    struct v4l2_control bitrate;
    memset(&bitrate, 0, sizeof bitrate);
    bitrate.id = V4L2_CID_MPEG_VIDEO_BITRATE;
    if (camera->device < 0)
        return;
    if (camera->bitrate == 0) {
        if (control(camera->device, VIDIOC_G_CTRL, &bitrate) < 0)
            return; /* it can't be told */
        camera->bitrate = bitrate.value;
    }
    bitrate.value = camera->bitrate;
    if (bits_per_second > 0 && bits_per_second < (uint32_t)camera->bitrate)
        bitrate.value = (int32_t)bits_per_second;
    control(camera->device, VIDIOC_S_CTRL, &bitrate);
}

static void on_log(void *user, int32_t level, camrill_id_t client, const char *line)
{
    (void)user;
    (void)client;
    if (level <= CAMRILL_LOG_INFO)
        fprintf(stderr, "%s\n", line);
}

/* ---- the loop ---- */

static void serve(camrill_engine_t *engine, struct camera *camera)
{
    struct pollfd fds[2];
    int goes_on = 1;
    int64_t end = 0;
    fds[0].fd = camrill_engine_fd(engine);
    fds[1].fd = camera->device >= 0 ? camera->device : 0;
    fds[0].events = fds[1].events = POLLIN;
    while (!stopped && (goes_on || now_us() < end)) {
        int timeout = camrill_engine_timeout_ms(engine), ready;
        /* An encoder writes a frame at once: when no more comes the frame is whole. */
        int quiet = camera->device < 0 && camera->used > 0 ? 4 : goes_on ? 1000 : 100;
        ready = poll(fds, goes_on ? 2 : 1, timeout < quiet ? timeout : quiet);
        if (ready < 0 && errno != EINTR)
            return;
        if (ready > 0 && fds[1].revents != 0 && goes_on)
            goes_on = camera->device >= 0 ? read_device(camera) : read_input(camera);
        else if (ready == 0 && camera->used > 0 && timeout > quiet)
            send_nals(camera, 1);
        if (!goes_on && end == 0) {
            /* Players have a moment for what is left. */
            if (camera->used > 0)
                send_nals(camera, 1);
            camrill_publisher_free(camera->publisher);
            camera->publisher = NULL;
            end = now_us() + 500000;
        }
        if (camrill_engine_poll(engine, 0) < 0)
            return;
    }
}

int main(int argc, char **argv)
{
    static struct camera camera;
    camrill_engine_config_t config = CAMRILL_ENGINE_CONFIG_INIT;
    camrill_publisher_config_t publisher = CAMRILL_PUBLISHER_CONFIG_INIT;
    camrill_engine_t *engine = NULL;
    struct sigaction action;
    const char *file = NULL;
    char stream[256] = "live/camera", *slash, why[512];
    unsigned width = 0, height = 0;
    int option, status = 1;

    camera.codec = CAMRILL_CODEC_H264;
    camera.device = -1;
    camera.is_whole = 1;
    while ((option = getopt(argc, argv, "c:s:5f:w:")) != -1) {
        if (option == 'c')
            file = optarg;
        else if (option == 's' && strlen(optarg) < sizeof stream)
            strcpy(stream, optarg);
        else if (option == '5')
            camera.codec = CAMRILL_CODEC_H265;
        else if (option == 'f' && (camera.fps = atof(optarg)) > 0)
            continue;
        else if (option != 'w' || sscanf(optarg, "%ux%u", &width, &height) != 2)
            goto usage;
    }
    slash = strrchr(stream, '/');
    if (slash == NULL || argc > optind + 1)
        goto usage;
    *slash = '\0';
    publisher.app = stream;
    publisher.name = slash + 1;
    publisher.tracks.video_codec = camera.codec;
    publisher.user = &camera;
    publisher.need_keyframe = need_keyframe;
    publisher.rate_hint = rate_hint;
    camera.size = 8 << 20;
    camera.in = malloc(camera.size);
    if (camera.in == NULL)
        return 1;
    if (optind < argc && open_device(&camera, argv[optind], width, height) < 0) {
        fprintf(stderr, "camrill-camera: %s: %s\n", argv[optind], strerror(errno));
        return 1;
    }
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    config.on_log = on_log;
    if (camrill_engine_new(&config, &engine) < 0 ||
        (file != NULL ? camrill_config_load_file(engine, file)
                      : camrill_config_load_text(engine, "camrill-camera", configuration)) < 0 ||
        camrill_config_apply(engine) < 0 ||
        camrill_publisher_new(engine, &publisher, &camera.publisher) < 0) {
        camrill_engine_last_error(engine, why, sizeof why);
        fprintf(stderr, "camrill-camera: %s\n", why);
    } else {
        serve(engine, &camera);
        status = 0;
    }
    camrill_publisher_free(camera.publisher);
    camrill_engine_free(engine); /* lets go of the device's buffers */
    while (camera.buffer_count > 0) {
        struct buffer *buffer = &camera.buffers[--camera.buffer_count];
        munmap(buffer->data, buffer->size);
    }
    free(camera.in);
    return status;
usage:
    fprintf(stderr, "usage: camrill-camera [-c FILE] [-s APP/NAME] [-5] [-f FPS] [-w WIDTHxHEIGHT] [DEVICE]\n");
    return 2;
}
