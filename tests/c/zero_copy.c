/* Frames lent to the library: nothing copies them, each is given back once, and in time. */
#include "rtmp.h"

#include <sys/wait.h>

/* The encoder's memory: a ring of buffers, each its own again when it is released. */
#define BUFFERS 24
#define BUFFER_BYTES (128 * 1024)
#define SLICES 4
#define SLICE_BYTES 25000

static uint8_t memory[BUFFERS][BUFFER_BYTES];
static struct buffer {
    int lent, released;
} buffers[BUFFERS];
static int releases;

/* Copies out of that memory, whoever makes them: this program is linked with --wrap. Of each NAL unit the first
 * bytes are looked at, by way of the stack: they are counted apart. */
#define LOOK_BYTES 32
static int counting;
static size_t copied, looked_at;
static void (*on_copy)(void);

void *__real_memcpy(void *to, const void *from, size_t size);
void *__real_memmove(void *to, const void *from, size_t size);
void *__wrap_memcpy(void *to, const void *from, size_t size);
void *__wrap_memmove(void *to, const void *from, size_t size);

static void count_copy(const void *from, size_t size)
{
    uintptr_t at = (uintptr_t)from, begin = (uintptr_t)memory;
    if (__atomic_load_n(&counting, __ATOMIC_RELAXED) && at >= begin && at < begin + sizeof memory) {
        __atomic_fetch_add(size > LOOK_BYTES ? &copied : &looked_at, size, __ATOMIC_RELAXED);
        if (on_copy != NULL)
            on_copy();
    }
}

void *__wrap_memcpy(void *to, const void *from, size_t size)
{
    count_copy(from, size);
    return __real_memcpy(to, from, size);
}

void *__wrap_memmove(void *to, const void *from, size_t size)
{
    count_copy(from, size);
    return __real_memmove(to, from, size);
}

/* What is given back is written over at once: nobody may read it any more. */
static void give_back(void *user)
{
    struct buffer *buffer = user;
    memset(memory[buffer - buffers], 0xee, BUFFER_BYTES);
    EQ(__atomic_fetch_add(&buffer->released, 1, __ATOMIC_RELAXED), 0);
    __atomic_fetch_add(&releases, 1, __ATOMIC_RELAXED);
    __atomic_store_n(&buffer->lent, 0, __ATOMIC_RELEASE);
}

static int free_buffer(void)
{
    int i;
    for (i = 0; i < BUFFERS; i++)
        if (!__atomic_load_n(&buffers[i].lent, __ATOMIC_ACQUIRE))
            return i;
    return -1;
}

static uint32_t hash_more(uint32_t hash, const uint8_t *p, size_t n)
{
    while (n-- > 0)
        hash = (hash ^ *p++) * 16777619u;
    return hash;
}

static const uint8_t sets[] = {
    0, 0, 0, 1, 0x67, 0x64, 0x00, 0x1e, 0xac, 0xd9, 0x40, 0xa0, 0x2f, 0xf9, 0x61, 0x00, 0x00, 0x03, 0x00,
    0x01, 0x00, 0x00, 0x03, 0x00, 0x32, 0x0f, 0x16, 0x2d, 0x96, 0, 0, 1, 0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0,
};

/* A picture of several slices in a buffer; answers its size, and the hash of what FLV makes of it. */
static size_t encode_into(uint8_t *out, int key, int slices, size_t slice, uint32_t seed, uint32_t *hash)
{
    uint8_t head[5] = {0x27, 1, 0, 0, 0}, length[4];
    size_t n = 0, i;
    int s;
    head[0] = key ? 0x17 : 0x27;
    *hash = hash_more(2166136261u, head, 5);
    for (s = 0; s < slices; s++) {
        size_t begin;
        /* Start codes of both kinds. */
        if (s % 2 == 0)
            out[n++] = 0;
        out[n++] = 0, out[n++] = 0, out[n++] = 1;
        begin = n;
        out[n++] = key ? 0x65 : 0x41;
        out[n++] = s == 0 ? 0x80 : 0x40; /* first_mb_in_slice: 0, or not */
        for (i = 2; i < slice; i++) {
            seed = seed * 1664525u + 1013904223u;
            out[n++] = (uint8_t)(seed >> 24) | 1;
        }
        length[0] = (uint8_t)(slice >> 24), length[1] = (uint8_t)(slice >> 16);
        length[2] = (uint8_t)(slice >> 8), length[3] = (uint8_t)slice;
        *hash = hash_more(hash_more(*hash, length, 4), out + begin, slice);
    }
    return n;
}

static camrill_frame_t frame_of(const void *data, size_t size, int64_t us)
{
    camrill_frame_t frame = CAMRILL_FRAME_INIT;
    frame.codec = CAMRILL_CODEC_H264;
    frame.data = data;
    frame.size = size;
    frame.pts_us = frame.dts_us = us;
    return frame;
}

/* live/a with a little audio, so that players needn't wait to know whether there is any. The parameter sets
 * don't lie in the ring. */
static void camera_start(struct camera *c, struct host *h, uint32_t hold_ms)
{
    camrill_publisher_config_t config = CAMRILL_PUBLISHER_CONFIG_INIT;
    static const uint8_t adts[] = {0xff, 0xf1, 0x50, 0x80, 0x01, 0x1f, 0xfc, 0x21};
    camrill_frame_t frame = frame_of(sets, sizeof sets, 0);
    memset(c, 0, sizeof *c);
    c->host = h;
    config.app = "live";
    config.name = "a";
    config.tracks.video_codec = CAMRILL_CODEC_H264;
    config.tracks.audio_codec = CAMRILL_CODEC_AAC;
    config.user = c;
    config.user_free = camera_freed;
    config.need_keyframe = camera_key;
    config.max_hold_ms = hold_ms;
    EQ(camrill_publisher_new(h->engine, &config, &c->publisher), 0);
    EQ(camrill_publisher_write(c->publisher, &frame), 0);
    frame = frame_of(adts, sizeof adts, 0);
    frame.codec = CAMRILL_CODEC_AAC;
    EQ(camrill_publisher_write(c->publisher, &frame), 0);
    memset(buffers, 0, sizeof buffers);
    releases = 0;
    copied = looked_at = 0;
}

/* Lends the next picture of 100 KB. */
static int32_t lend(struct camera *c, int key, uint32_t *hash)
{
    int i = free_buffer();
    camrill_frame_t frame;
    CHECK(i >= 0);
    frame = frame_of(memory[i], encode_into(memory[i], key, SLICES, SLICE_BYTES, (uint32_t)c->clock, hash), c->clock);
    c->clock += 40000;
    buffers[i].lent = 1;
    buffers[i].released = 0;
    return camrill_publisher_write_ref(c->publisher, &frame, give_back, &buffers[i]);
}

static camrill_publisher_stats_t stats_of(const struct camera *c)
{
    camrill_publisher_stats_t stats;
    stats.struct_size = sizeof stats;
    EQ(camrill_publisher_stats(c->publisher, &stats), 0);
    return stats;
}

static void host_serve(struct host *h, const char *gop_cache)
{
    host_make(h, 0);
    EQ(camrill_config_set(h->engine, "listen", "127.0.0.1:0"), 0);
    EQ(camrill_config_set(h->engine, "http_server/enabled", "on"), 0);
    EQ(camrill_config_set(h->engine, "http_server/listen", "127.0.0.1:0"), 0);
    EQ(camrill_config_set(h->engine, "vhost/__defaultVhost__/http_remux/enabled", "on"), 0);
    EQ(camrill_config_set(h->engine, "vhost/__defaultVhost__/play/gop_cache", gop_cache), 0);
    EQ(camrill_config_apply(h->engine), 0);
    h->port = camrill_engine_port(h->engine, "rtmp");
}

/* A player of HTTP-FLV: keeps the hash of each picture. */
struct flv {
    int fd, begun, video;
    uint8_t in[1 << 18];
    size_t have;
    uint32_t hashes[256];
};

static struct flv *flv_open(int32_t port)
{
    static const char request[] = "GET /live/a.flv HTTP/1.1\r\nHost: a\r\n\r\n";
    struct sockaddr_in to;
    struct flv *c = calloc(1, sizeof *c);
    CHECK(c != NULL);
    memset(&to, 0, sizeof to);
    to.sin_family = AF_INET;
    to.sin_port = htons((uint16_t)port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    EQ(connect(c->fd, (struct sockaddr *)&to, sizeof to), 0);
    EQ(send(c->fd, request, sizeof request - 1, MSG_NOSIGNAL), sizeof request - 1);
    return c;
}

static void flv_step(struct flv *c)
{
    ssize_t n;
    while ((n = recv(c->fd, c->in + c->have, sizeof c->in - c->have, MSG_DONTWAIT)) > 0) {
        c->have += (size_t)n;
        for (;;) {
            size_t size = 0;
            if (!c->begun) {
                const uint8_t *end = memmem(c->in, c->have, "\r\n\r\n", 4);
                if (end != NULL && c->have >= (size_t)(end - c->in) + 4 + 13) {
                    size = (size_t)(end - c->in) + 4 + 13;
                    EQ(memcmp(end + 4, "FLV", 3), 0);
                    c->begun = 1;
                }
            } else if (c->have >= 11 && c->have >= be(c->in + 1, 3) + 15) {
                size_t body = be(c->in + 1, 3);
                size = body + 15;
                if (c->in[0] == 9 && c->in[12] == 1 && c->video < 256)
                    c->hashes[c->video++] = hash_more(2166136261u, c->in + 11, body);
            }
            if (size == 0)
                break;
            memmove(c->in, c->in + size, c->have -= size);
        }
    }
    CHECK(n < 0 && (errno == EAGAIN || errno == EINTR));
}

static void flv_close(struct flv *c)
{
    close(c->fd);
    free(c);
}

/* The hash of the picture `n` that a player has got. */
static uint32_t picture(const struct rtmp *c, int n)
{
    int i;
    for (i = 0; i < c->count; i++)
        if (c->media[i].type == 9 && c->media[i].head[1] == 1 && n-- == 0)
            return c->media[i].hash;
    CHECK(0);
    return 0;
}

#define EACH 5
#define PICTURES 40

/* Drives the engine and the players until `condition`. */
#define UNTIL_ALL(h, players, webs, condition)                \
    do {                                                      \
        int64_t end_ = now_ms() + 60000;                      \
        int p_;                                               \
        while (!(condition)) {                                \
            CHECK(now_ms() < end_);                           \
            CHECK(camrill_engine_poll((h)->engine, 1) >= 0);  \
            for (p_ = 0; p_ < EACH; p_++) {                   \
                rtmp_step((players)[p_]);                     \
                flv_step((webs)[p_]);                         \
            }                                                 \
        }                                                     \
    } while (0)

static int all_have(struct rtmp **players, struct flv **webs, int pictures)
{
    int i, yes = 1;
    for (i = 0; i < EACH; i++)
        yes = yes && players[i]->video >= pictures && webs[i]->video >= pictures;
    return yes;
}

static int all_play(struct host *h, struct rtmp **players)
{
    int i, yes = h->counts[CAMRILL_EVENT_PLAY] == 2 * EACH;
    for (i = 0; i < EACH; i++)
        yes = yes && players[i]->state == RTMP_GOING;
    return yes;
}

/* Ten players get pictures of 100 KB that nobody has copied. */
static void no_copy_to_ten_players(void)
{
    struct host h;
    struct camera c;
    struct rtmp *players[EACH];
    struct flv *webs[EACH];
    uint32_t hashes[PICTURES];
    int i, p;
    host_serve(&h, "off");
    camera_start(&c, &h, 60000);
    for (p = 0; p < EACH; p++) {
        players[p] = rtmp_open(h.port, "live", "a", 0);
        webs[p] = flv_open(camrill_engine_port(h.engine, "http"));
    }
    UNTIL_ALL(&h, players, webs, all_play(&h, players));
    __atomic_store_n(&counting, 1, __ATOMIC_RELAXED);
    for (i = 0; i < PICTURES; i++) {
        EQ(lend(&c, i % 10 == 0, &hashes[i]), 0);
        EQ(stats_of(&c).held, 1);
        UNTIL_ALL(&h, players, webs, all_have(players, webs, i + 1));
        UNTIL_ALL(&h, players, webs, stats_of(&c).held == 0);
    }
    EQ(copied, 0);
    CHECK(looked_at <= PICTURES * (SLICES + 1) * LOOK_BYTES);
    EQ(releases, PICTURES);
    EQ(stats_of(&c).late_copies, 0);
    for (p = 0; p < EACH; p++)
        for (i = 0; i < PICTURES; i++) {
            EQ(picture(players[p], i), hashes[i]);
            EQ(webs[p]->hashes[i], hashes[i]);
        }
    /* The counter counts: what is not lent is copied once. */
    {
        uint32_t hash;
        size_t size = encode_into(memory[0], 0, SLICES, SLICE_BYTES, 1, &hash);
        camrill_frame_t frame = frame_of(memory[0], size, c.clock);
        EQ(camrill_publisher_write(c.publisher, &frame), 0);
        CHECK(copied >= SLICES * SLICE_BYTES && copied <= size);
    }
    __atomic_store_n(&counting, 0, __ATOMIC_RELAXED);
    for (p = 0; p < EACH; p++) {
        rtmp_close(players[p], 0);
        flv_close(webs[p]);
    }
    camrill_publisher_free(c.publisher);
    host_free(&h);
}

/* A player reads nothing: its pictures are copied when their time is over, and the encoder goes on. */
static void a_stalled_player_keeps_no_buffer(void)
{
    struct host h;
    struct camera c;
    struct rtmp *slow, *fast;
    uint32_t hashes[PICTURES * 2];
    int i, small = 65536;
    host_serve(&h, "off");
    camera_start(&c, &h, 100);
    slow = rtmp_open(h.port, "live", "a", 0);
    EQ(setsockopt(slow->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
    UNTIL(&h, slow, slow->state == RTMP_GOING);
    fast = rtmp_open(h.port, "live", "a", 0);
    UNTIL(&h, fast, fast->state == RTMP_GOING);
    for (i = 0; i < PICTURES * 2; i++) {
        UNTIL(&h, fast, free_buffer() >= 0);
        EQ(lend(&c, i == 0, &hashes[i]), 0);
        UNTIL(&h, fast, fast->video == i + 1);
    }
    EQ(slow->video, 0);
    UNTIL(&h, fast, stats_of(&c).held == 0);
    EQ(releases, PICTURES * 2);
    CHECK(stats_of(&c).late_copies > 0 && stats_of(&c).late_copies <= PICTURES * 2);
    for (i = 0; i < PICTURES * 2; i++)
        EQ(picture(fast, i), hashes[i]);
    UNTIL(&h, slow, slow->video == PICTURES * 2);
    for (i = 0; i < PICTURES * 2; i++)
        EQ(picture(slow, i), hashes[i]);
    rtmp_close(slow, 0);
    rtmp_close(fast, 0);
    camrill_publisher_free(c.publisher);
    host_free(&h);
}

/* One whose picture is half sent stops to play, or everything ends: the rest of it holds nothing. */
static void half_sent_and_gone(void)
{
    int closes;
    for (closes = 0; closes < 3; closes++) {
        struct host h;
        struct camera c;
        struct rtmp *slow;
        uint32_t hash;
        int i, small = 65536;
        host_serve(&h, "off");
        camera_start(&c, &h, 60000);
        slow = rtmp_open(h.port, "live", "a", 0);
        EQ(setsockopt(slow->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
        UNTIL(&h, slow, slow->state == RTMP_GOING);
        for (i = 0; free_buffer() >= 0; i++) {
            EQ(lend(&c, i == 0, &hash), 0);
            CHECK(camrill_engine_poll(h.engine, 0) >= 0);
            if (free_buffer() < 0)
                break;
        }
        CHECK(stats_of(&c).held > 0);
        if (closes == 0) {
            rtmp_close(slow, 1);
            UNTIL(&h, NULL, h.counts[CAMRILL_EVENT_CLOSED] == 1);
            EQ(stats_of(&c).held, 0);
            camrill_publisher_free(c.publisher);
            host_free(&h);
        } else if (closes == 1) {
            host_free(&h);
            EQ(stats_of(&c).held, 0);
            camrill_publisher_free(c.publisher);
            rtmp_close(slow, 0);
        } else {
            camrill_publisher_free(c.publisher);
            host_free(&h);
            rtmp_close(slow, 0);
        }
        EQ(free_buffer() >= 0, 1);
        for (i = 0; i < BUFFERS; i++)
            EQ(buffers[i].lent, 0);
    }
}

/* The GOP that is kept for those who join is copied, and is what was written. */
static void the_gop_cache_keeps_no_buffer(void)
{
    struct host h;
    struct camera c;
    struct rtmp *player;
    uint32_t hashes[10];
    int i;
    host_serve(&h, "on");
    camera_start(&c, &h, 20);
    for (i = 0; i < 10; i++)
        EQ(lend(&c, i == 0, &hashes[i]), 0);
    EQ(stats_of(&c).held, 10);
    UNTIL(&h, NULL, stats_of(&c).held == 0);
    EQ(stats_of(&c).late_copies, 10);
    EQ(releases, 10);
    player = rtmp_open(h.port, "live", "a", 0);
    UNTIL(&h, player, player->video == 10);
    for (i = 0; i < 10; i++)
        EQ(picture(player, i), hashes[i]);
    rtmp_close(player, 0);
    camrill_publisher_free(c.publisher);
    host_free(&h);
}

/* Whatever is answered, memory is given back once. */
static void refused_and_given_back(void)
{
    static uint8_t big[9 << 20];
    struct host h;
    struct camera c;
    camrill_publisher_config_t config = CAMRILL_PUBLISHER_CONFIG_INIT;
    camrill_publisher_t *none = NULL;
    camrill_frame_t frame;
    uint32_t hash;
    size_t size;
    int i;
    host_serve(&h, "on");
    config.app = config.name = "b";
    config.tracks.video_codec = CAMRILL_CODEC_H264;
    config.max_hold_ms = 60001;
    EQ(camrill_publisher_new(h.engine, &config, &none), CAMRILL_EINVAL);
    CHECK(strstr(why(h.engine), "max_hold_ms") != NULL);
    camera_start(&c, &h, 0);
    size = encode_into(memory[0], 1, 1, 50, 1, &hash);
#define REFUSED(publisher, pointer, answer)                                               \
    do {                                                                                  \
        releases = 0;                                                                     \
        buffers[0].released = 0;                                                          \
        EQ(camrill_publisher_write_ref((publisher), (pointer), give_back, buffers), (answer)); \
        EQ(releases, 1);                                                                  \
    } while (0)
    frame = frame_of(memory[0], size, 0);
    EQ(camrill_publisher_write_ref(c.publisher, &frame, NULL, NULL), CAMRILL_EINVAL);
    CHECK(strstr(why(NULL), "release") != NULL);
    REFUSED(NULL, &frame, CAMRILL_EINVAL);
    REFUSED(c.publisher, NULL, CAMRILL_EINVAL);
    frame.struct_size = 0;
    REFUSED(c.publisher, &frame, CAMRILL_EINVAL);
    frame.struct_size = sizeof frame;
    frame.codec = CAMRILL_CODEC_H265;
    REFUSED(c.publisher, &frame, CAMRILL_EINVAL);
    frame.codec = CAMRILL_CODEC_H264;
    frame.data = NULL;
    REFUSED(c.publisher, &frame, CAMRILL_EINVAL);
    frame.data = big;
    frame.size = 64;
    REFUSED(c.publisher, &frame, CAMRILL_EFRAME);
    frame.size = sizeof big;
    REFUSED(c.publisher, &frame, CAMRILL_EFRAME);
    /* Not worth it: copied at once. */
    frame = frame_of(memory[0], encode_into(memory[0], 1, 1, 1000, 1, &hash), 0);
    REFUSED(c.publisher, &frame, 0);
    EQ(stats_of(&c).held, 0);
    /* The queue is full. */
    for (i = 0; i < BUFFERS; i++)
        EQ(lend(&c, 1, &hash), 0);
    EQ(stats_of(&c).held, BUFFERS);
    for (i = 0; i < 19; i++) {
        size = encode_into(big, 0, 1, 100000, 1, &hash);
        frame = frame_of(big, size, c.clock);
        if (camrill_publisher_write(c.publisher, &frame) != 0)
            break;
    }
    CHECK(i < 19);
    REFUSED(c.publisher, &frame, CAMRILL_EAGAIN);
    EQ(stats_of(&c).dropped, 2);
    EQ(stats_of(&c).held, BUFFERS);
    /* The engine goes, with all that waits for it. */
    memset(buffers, 0, sizeof buffers);
    releases = 0;
    host_free(&h);
    EQ(releases, BUFFERS);
    EQ(stats_of(&c).held, 0);
    REFUSED(c.publisher, &frame, CAMRILL_ESTATE);
    camrill_publisher_free(c.publisher);
}

/* Slice by slice, each in two pieces that are cut within its start code. */
static int parts_back[6][SLICES];

static void part_back(void *user)
{
    ++*(int *)user;
}

static int32_t lend_parts(struct camera *c, int n, int key, uint32_t *hash)
{
    uint8_t *at = memory[n];
    int32_t result = 0;
    int s;
    encode_into(at, key, SLICES, SLICE_BYTES, (uint32_t)n + 1, hash);
    for (s = 0; s < SLICES; s++) {
        size_t size = SLICE_BYTES + (s % 2 == 0 ? 4 : 3);
        camrill_iov_t iov[3] = {{at, 2}, {NULL, 0}, {at + 2, size - 2}};
        camrill_frame_t frame = frame_of(NULL, 0, c->clock);
        frame.iov = iov;
        frame.iov_count = 3;
        frame.flags = CAMRILL_FRAME_NAL | (s == SLICES - 1 ? CAMRILL_FRAME_LAST : 0);
        result = camrill_publisher_write_ref(c->publisher, &frame, part_back, &parts_back[n][s]);
        CHECK(result == 0 || s == SLICES - 1);
        at += size;
    }
    c->clock += 40000;
    return result;
}

static void nal_unit_by_nal_unit(void)
{
    struct host h;
    struct camera c;
    struct rtmp *player;
    uint32_t hashes[6];
    int i, s;
    host_serve(&h, "off");
    camera_start(&c, &h, 60000);
    player = rtmp_open(h.port, "live", "a", 0);
    UNTIL(&h, player, player->state == RTMP_GOING);
    counting = 1;
    for (i = 0; i < 6; i++) {
        EQ(lend_parts(&c, i, i == 0, &hashes[i]), 0);
        EQ(stats_of(&c).held, SLICES);
        UNTIL(&h, player, player->video == i + 1);
        UNTIL(&h, player, stats_of(&c).held == 0);
        EQ(picture(player, i), hashes[i]);
    }
    counting = 0;
    EQ(copied, 0);
    for (i = 0; i < 6; i++)
        for (s = 0; s < SLICES; s++)
            EQ(parts_back[i][s], 1);
    /* What is never completed comes back with the publisher's end. */
    {
        camrill_frame_t frame = frame_of(memory[0], encode_into(memory[0], 0, 1, SLICE_BYTES, 1, hashes), c.clock);
        int back = 0;
        frame.flags = CAMRILL_FRAME_NAL;
        EQ(camrill_publisher_write_ref(c.publisher, &frame, part_back, &back), 0);
        EQ(stats_of(&c).held, 1);
        camrill_publisher_free(c.publisher);
        UNTIL(&h, player, c.freed == 1);
        UNTIL(&h, player, back == 1);
    }
    rtmp_close(player, 0);
    host_free(&h);
}

/* The queue is full while pictures come slice by slice: what follows is dropped up to a keyframe, which is asked
 * for. */
static void a_full_queue_of_nal_units(void)
{
    camrill_publisher_config_t config = CAMRILL_PUBLISHER_CONFIG_INIT;
    camrill_frame_t frame = frame_of(sets, sizeof sets, 0);
    struct host h;
    struct camera c;
    struct rtmp *player;
    uint32_t hashes[6];
    int i, s;
    memset(parts_back, 0, sizeof parts_back);
    memset(&c, 0, sizeof c);
    host_serve(&h, "off");
    c.host = &h;
    config.app = "live";
    config.name = "a";
    config.tracks.video_codec = CAMRILL_CODEC_H264;
    config.user = &c;
    config.user_free = camera_freed;
    config.need_keyframe = camera_key;
    config.queue_bytes = 250000;
    EQ(camrill_publisher_new(h.engine, &config, &c.publisher), 0);
    EQ(camrill_publisher_write(c.publisher, &frame), 0);
    player = rtmp_open(h.port, "live", "a", 0);
    UNTIL(&h, player, player->state == RTMP_GOING);
    EQ(lend_parts(&c, 0, 1, &hashes[0]), 0);
    EQ(lend_parts(&c, 1, 0, &hashes[1]), 0);
    EQ(lend_parts(&c, 2, 0, &hashes[2]), CAMRILL_EAGAIN);
    EQ(lend_parts(&c, 3, 0, &hashes[3]), CAMRILL_EAGAIN);
    for (s = 0; s < SLICES; s++)
        CHECK(parts_back[0][s] == 0 && parts_back[2][s] == 1 && parts_back[3][s] == 1);
    EQ(stats_of(&c).dropped, 2);
    EQ(c.keys, 0);
    UNTIL(&h, player, player->video == 2);
    EQ(c.keys, 1);
    EQ(lend_parts(&c, 4, 1, &hashes[2]), 0);
    EQ(lend_parts(&c, 5, 0, &hashes[3]), 0);
    UNTIL(&h, player, player->video == 4);
    for (i = 0; i < 4; i++)
        EQ(picture(player, i), hashes[i]);
    camrill_publisher_free(c.publisher);
    rtmp_close(player, 0);
    host_free(&h);
    for (i = 0; i < 6; i++)
        for (s = 0; s < SLICES; s++)
            EQ(parts_back[i][s], 1);
}

/* A second writer is turned away: here one that comes in while the first is copying. */
static struct camera *written;

static void write_inside(void)
{
    camrill_frame_t frame = frame_of(sets, sizeof sets, 0);
    on_copy = NULL;
    EQ(camrill_publisher_write(written->publisher, &frame), CAMRILL_ESTATE);
    CHECK(strstr(why(NULL), "another thread") != NULL);
    buffers[1].released = 0;
    EQ(camrill_publisher_write_ref(written->publisher, &frame, give_back, &buffers[1]), CAMRILL_ESTATE);
    EQ(releases, 1);
}

/* And the function that takes memory back may write, but not use the engine that calls it. */
static int32_t expected;

static void write_when_given_back(void *user)
{
    camrill_frame_t frame = frame_of(sets, sizeof sets, 0);
    camrill_stats_t totals;
    give_back(user);
    totals.struct_size = sizeof totals;
    EQ(camrill_stats(written->host->engine, &totals), expected);
    EQ(camrill_publisher_write(written->publisher, &frame), 0);
}

static void one_writer_at_a_time(void)
{
    struct host h;
    struct camera c;
    camrill_frame_t frame;
    uint32_t hash;
    host_serve(&h, "off");
    camera_start(&c, &h, 0);
    written = &c;
    expected = 0;
    frame = frame_of(memory[0], encode_into(memory[0], 1, SLICES, SLICE_BYTES, 1, &hash), 0);
    on_copy = write_inside;
    counting = 1;
    EQ(camrill_publisher_write(c.publisher, &frame), 0);
    counting = 0;
    EQ(on_copy == NULL, 1);
    EQ(stats_of(&c).written, 2);
    frame = frame_of(memory[2], encode_into(memory[2], 0, 1, 100, 1, &hash), 40000);
    EQ(camrill_publisher_write_ref(c.publisher, &frame, write_when_given_back, &buffers[2]), 0);
    EQ(releases, 2);
    frame = frame_of(memory[3], encode_into(memory[3], 0, 1, 10000, 1, &hash), 80000);
    EQ(camrill_publisher_write_ref(c.publisher, &frame, write_when_given_back, &buffers[3]), 0);
    EQ(releases, 2);
    expected = CAMRILL_EREENTRANT;
    UNTIL(&h, NULL, releases == 3);
    camrill_publisher_free(c.publisher);
    host_free(&h);
}

/* The child's copy of what was lent is not the child's to give back. */
static void not_in_a_child(void)
{
    struct host h;
    struct camera c;
    uint32_t hash;
    pid_t child;
    int status, i;
    host_serve(&h, "on");
    camera_start(&c, &h, 0);
    for (i = 0; i < 3; i++)
        EQ(lend(&c, i == 0, &hash), 0);
    CHECK(camrill_engine_poll(h.engine, 0) >= 0);
    EQ(lend(&c, 0, &hash), 0);
    child = fork();
    if (child == 0) {
        camrill_frame_t frame = frame_of(memory[9], encode_into(memory[9], 1, 1, 5000, 1, &hash), 0);
        EQ(camrill_publisher_write_ref(c.publisher, &frame, give_back, &buffers[9]), CAMRILL_EFORKED);
        EQ(releases, 1);
        camrill_publisher_free(c.publisher);
        camrill_engine_free(h.engine);
        EQ(releases, 1);
        _exit(0);
    }
    CHECK(child > 0);
    EQ(waitpid(child, &status, 0), child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    EQ(releases, 0);
    UNTIL(&h, NULL, releases == 4);
    camrill_publisher_free(c.publisher);
    host_free(&h);
    EQ(releases, 4);
}

int main(void)
{
    RUN(no_copy_to_ten_players);
    RUN(a_stalled_player_keeps_no_buffer);
    RUN(half_sent_and_gone);
    RUN(the_gop_cache_keeps_no_buffer);
    RUN(refused_and_given_back);
    RUN(nal_unit_by_nal_unit);
    RUN(a_full_queue_of_nal_units);
    RUN(one_writer_at_a_time);
    RUN(not_in_a_child);
    return 0;
}
