/* A small RTMP client that never blocks, so that one thread can be client and server at once. */
#ifndef RTMP_H
#define RTMP_H

#include "test.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

enum rtmp_state { RTMP_SHAKING, RTMP_CONNECTING, RTMP_CREATING, RTMP_ASKING, RTMP_GOING, RTMP_REFUSED, RTMP_CLOSED };

/* One message that came in. */
struct rtmp_message {
    uint8_t type;
    uint32_t time, size;
    uint8_t head[16];
    uint32_t hash;
};

struct rtmp {
    int fd;
    enum rtmp_state state;
    int publishes;
    char app[128], tc_url[160], stream[128], refusal[256];
    uint8_t in[1 << 18];
    size_t have;
    uint32_t chunk_size;
    struct rtmp_chunk {
        uint32_t time, delta, size, filled;
        uint8_t type;
        int extended;
        uint8_t *body;
    } chunks[64];
    struct rtmp_message media[2048];
    int count, video, audio;
    /* Told of each picture and sound, where it is set. */
    void (*on_media)(struct rtmp *, const struct rtmp_chunk *);
    void *more;
};

static UNUSED uint32_t be(const uint8_t *p, int n)
{
    uint32_t value = 0;
    while (n-- > 0)
        value = value << 8 | *p++;
    return value;
}

static UNUSED uint32_t hash_of(const uint8_t *p, size_t n)
{
    uint32_t hash = 2166136261u;
    while (n-- > 0)
        hash = (hash ^ *p++) * 16777619u;
    return hash;
}

static UNUSED void rtmp_raw(struct rtmp *c, const void *data, size_t size)
{
    const uint8_t *p = data;
    while (size > 0) {
        ssize_t n = send(c->fd, p, size, MSG_NOSIGNAL);
        if (n <= 0) {
            c->state = RTMP_CLOSED;
            return;
        }
        p += n;
        size -= (size_t)n;
    }
}

/* A message in chunks of 128 bytes, type 0 first. */
static UNUSED void rtmp_send(struct rtmp *c, uint8_t csid, uint8_t type, uint8_t stream, uint32_t time,
                             const uint8_t *body, size_t size)
{
    uint8_t out[4096];
    size_t n = 0, at;
    CHECK(size + size / 128 + 16 < sizeof out);
    out[n++] = csid;
    out[n++] = (uint8_t)(time >> 16);
    out[n++] = (uint8_t)(time >> 8);
    out[n++] = (uint8_t)time;
    out[n++] = (uint8_t)(size >> 16);
    out[n++] = (uint8_t)(size >> 8);
    out[n++] = (uint8_t)size;
    out[n++] = type;
    out[n++] = stream;
    out[n++] = 0, out[n++] = 0, out[n++] = 0;
    for (at = 0; at < size; at++) {
        if (at > 0 && at % 128 == 0)
            out[n++] = 0xc0 | csid;
        out[n++] = body[at];
    }
    rtmp_raw(c, out, n);
}

struct amf {
    uint8_t data[2048];
    size_t size;
};

static UNUSED void amf_key(struct amf *a, const char *text)
{
    size_t n = strlen(text);
    CHECK(a->size + n + 16 < sizeof a->data);
    a->data[a->size++] = (uint8_t)(n >> 8);
    a->data[a->size++] = (uint8_t)n;
    memcpy(a->data + a->size, text, n);
    a->size += n;
}

static UNUSED void amf_text(struct amf *a, const char *text)
{
    a->data[a->size++] = 2;
    amf_key(a, text);
}

static UNUSED void amf_number(struct amf *a, double number)
{
    uint64_t bits;
    int i;
    memcpy(&bits, &number, 8);
    a->data[a->size++] = 0;
    for (i = 56; i >= 0; i -= 8)
        a->data[a->size++] = (uint8_t)(bits >> i);
}

static UNUSED void amf_null(struct amf *a)
{
    a->data[a->size++] = 5;
}

static UNUSED void rtmp_connect(struct rtmp *c)
{
    struct amf a;
    a.size = 0;
    amf_text(&a, "connect");
    amf_number(&a, 1);
    a.data[a.size++] = 3;
    amf_key(&a, "app"), amf_text(&a, c->app);
    amf_key(&a, "flashVer"), amf_text(&a, "test");
    amf_key(&a, "tcUrl"), amf_text(&a, c->tc_url);
    amf_key(&a, "pageUrl"), amf_text(&a, "http://page.example/");
    amf_key(&a, "");
    a.data[a.size++] = 9;
    rtmp_send(c, 3, 20, 0, 0, a.data, a.size);
    c->state = RTMP_CONNECTING;
}

static UNUSED void rtmp_create(struct rtmp *c)
{
    struct amf a;
    a.size = 0;
    amf_text(&a, "createStream");
    amf_number(&a, 2);
    amf_null(&a);
    rtmp_send(c, 3, 20, 0, 0, a.data, a.size);
    c->state = RTMP_CREATING;
}

static UNUSED void rtmp_ask(struct rtmp *c)
{
    struct amf a;
    a.size = 0;
    amf_text(&a, c->publishes ? "publish" : "play");
    amf_number(&a, 3);
    amf_null(&a);
    amf_text(&a, c->stream);
    if (c->publishes)
        amf_text(&a, "live");
    rtmp_send(c, 8, 20, 1, 0, a.data, a.size);
    c->state = RTMP_ASKING;
}

/* Whether a text stands somewhere in bytes. */
static UNUSED const uint8_t *find(const uint8_t *p, size_t n, const char *text)
{
    return memmem(p, n, text, strlen(text));
}

static UNUSED void rtmp_command(struct rtmp *c, const uint8_t *p, size_t n)
{
    int result = find(p, n, "_result") == p + 3;
    int error = find(p, n, "_error") == p + 3 || memmem(p, n, "\x02\0\x05" "error", 8) != NULL ||
                find(p, n, "NetStream.Publish.BadName") || find(p, n, "NetStream.Play.Failed") ||
                find(p, n, ".Rejected") || find(p, n, ".Denied");
    static const char description[] = "description";
    const uint8_t *at = memmem(p, n, description, sizeof description - 1);
    if (error) {
        if (at != NULL && (size_t)(p + n - at) > 14) {
            size_t size = be(at + 12, 2);
            if (size < sizeof c->refusal && (size_t)(p + n - at) >= 14 + size)
                memcpy(c->refusal, at + 14, size);
        }
        c->state = RTMP_REFUSED;
    } else if (result && c->state == RTMP_CONNECTING) {
        rtmp_create(c);
    } else if (result && c->state == RTMP_CREATING) {
        if (c->stream[0] != 0)
            rtmp_ask(c);
    } else if (find(p, n, "NetStream.Play.Start") || find(p, n, "NetStream.Publish.Start")) {
        c->state = RTMP_GOING;
    }
}

static UNUSED void rtmp_message(struct rtmp *c, struct rtmp_chunk *chunk)
{
    if (chunk->type == 1) {
        CHECK(chunk->size == 4);
        c->chunk_size = be(chunk->body, 4);
    } else if (chunk->type == 20) {
        rtmp_command(c, chunk->body, chunk->size);
    } else if (c->on_media != NULL && (chunk->type == 8 || chunk->type == 9)) {
        c->on_media(c, chunk);
    } else if ((chunk->type == 8 || chunk->type == 9 || chunk->type == 18) && c->count < 2048) {
        struct rtmp_message *m = &c->media[c->count++];
        memset(m, 0, sizeof *m);
        m->type = chunk->type;
        m->time = chunk->time;
        m->size = chunk->size;
        memcpy(m->head, chunk->body, chunk->size < 16 ? chunk->size : 16);
        m->hash = hash_of(chunk->body, chunk->size);
        c->video += chunk->type == 9 && chunk->size > 1 && chunk->body[1] != 0;
        c->audio += chunk->type == 8 && chunk->size > 1 && chunk->body[1] != 0;
    }
}

/* Takes one chunk from the front; answers its length, or 0 where it isn't whole. */
static UNUSED size_t rtmp_chunk(struct rtmp *c)
{
    static const size_t header_sizes[4] = {11, 7, 3, 0};
    const uint8_t *p = c->in;
    size_t n = 1, header, part;
    int format, csid;
    struct rtmp_chunk *k;
    uint32_t time;
    if (c->have < 1)
        return 0;
    format = p[0] >> 6;
    csid = p[0] & 63;
    CHECK(csid >= 2);
    k = &c->chunks[csid];
    header = header_sizes[format];
    if (c->have < n + header + 4)
        if (c->have < n + header || (format < 3 && be(p + 1, 3) == 0xffffff) || (format == 3 && k->extended))
            return 0;
    time = format < 3 ? be(p + 1, 3) : 0;
    if (format < 2) {
        CHECK(k->filled == 0);
        k->size = be(p + 4, 3);
        k->type = p[7];
        free(k->body);
        k->body = malloc(k->size + 1);
        CHECK(k->body != NULL);
    }
    n += header;
    if (format < 3)
        k->extended = time == 0xffffff;
    if (k->extended) {
        time = be(p + n, 4);
        n += 4;
    }
    part = k->size - k->filled < c->chunk_size ? k->size - k->filled : c->chunk_size;
    if (c->have < n + part)
        return 0;
    if (k->filled == 0) {
        if (format == 0)
            k->time = time, k->delta = time;
        else {
            if (format < 3)
                k->delta = time;
            k->time += k->delta;
        }
    }
    memcpy(k->body + k->filled, p + n, part);
    k->filled += (uint32_t)part;
    if (k->filled == k->size) {
        k->filled = 0;
        rtmp_message(c, k);
    }
    return n + part;
}

/* Does what can be done without waiting. */
static UNUSED void rtmp_step(struct rtmp *c)
{
    ssize_t n;
    size_t used;
    while (c->fd >= 0 && (n = recv(c->fd, c->in + c->have, sizeof c->in - c->have, MSG_DONTWAIT)) != 0) {
        if (n < 0) {
            if (errno == EAGAIN || errno == EINTR)
                return;
            break;
        }
        c->have += (size_t)n;
        if (c->state == RTMP_SHAKING) {
            if (c->have < 3073)
                continue;
            CHECK(c->in[0] == 3);
            rtmp_raw(c, c->in + 1, 1536);
            memmove(c->in, c->in + 3073, c->have -= 3073);
            rtmp_connect(c);
        }
        while ((used = rtmp_chunk(c)) > 0)
            memmove(c->in, c->in + used, c->have -= used);
    }
    if (c->fd >= 0 && c->state != RTMP_REFUSED)
        c->state = RTMP_CLOSED;
}

/* Begins a client of rtmp://127.0.0.1:port/APP[/STREAM]. */
static UNUSED struct rtmp *rtmp_open(int32_t port, const char *app, const char *stream, int publishes)
{
    struct rtmp *c = calloc(1, sizeof *c);
    struct sockaddr_in to;
    uint8_t hello[1537];
    CHECK(c != NULL);
    memset(&to, 0, sizeof to);
    to.sin_family = AF_INET;
    to.sin_port = htons((uint16_t)port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    c->chunk_size = 128;
    c->publishes = publishes;
    snprintf(c->app, sizeof c->app, "%s", app);
    snprintf(c->tc_url, sizeof c->tc_url, "rtmp://127.0.0.1:%d/%s", (int)port, c->app);
    snprintf(c->stream, sizeof c->stream, "%s", stream);
    EQ(connect(c->fd, (struct sockaddr *)&to, sizeof to), 0);
    memset(hello, 7, sizeof hello);
    hello[0] = 3;
    memset(hello + 1, 0, 8);
    rtmp_raw(c, hello, sizeof hello);
    return c;
}

/* Closes it; `abrupt`: with a reset, whatever is still to be read. */
static UNUSED void rtmp_close(struct rtmp *c, int abrupt)
{
    struct linger linger = {1, 0};
    int i;
    if (abrupt)
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    close(c->fd);
    for (i = 0; i < 64; i++)
        free(c->chunks[i].body);
    free(c);
}

/* Drives the engine on this thread and the client `c` until `condition`. */
#define UNTIL2(h, c, d, condition)                                                          \
    do {                                                                                    \
        int64_t end_ = now_ms() + 30000;                                                    \
        struct rtmp *c_ = (c), *d_ = (d);                                                   \
        while (!(condition)) {                                                              \
            int32_t polled_ = camrill_engine_poll((h)->engine, 1);                          \
            if (polled_ < 0 || now_ms() > end_) {                                           \
                fprintf(stderr, "%s:%d: never so: %s (poll %d)\n%s", __FILE__, __LINE__,    \
                        #condition, (int)polled_, (h)->log);                                \
                abort();                                                                    \
            }                                                                               \
            if (c_ != NULL)                                                                 \
                rtmp_step(c_);                                                              \
            if (d_ != NULL)                                                                 \
                rtmp_step(d_);                                                              \
        }                                                                                   \
    } while (0)
#define UNTIL(h, c, condition) UNTIL2(h, c, NULL, condition)

/* Drives only the client: the engine has a thread of its own. */
#define UNTIL_CLIENT(c, condition)                                                          \
    do {                                                                                    \
        int64_t end_ = now_ms() + 30000;                                                    \
        while (!(condition)) {                                                              \
            struct pollfd p_ = {(c)->fd, POLLIN, 0};                                        \
            CHECK(now_ms() < end_);                                                         \
            poll(&p_, 1, 5);                                                                \
            rtmp_step(c);                                                                   \
        }                                                                                   \
    } while (0)

#endif
