/* Paths that the program itself answers for: whole answers and pieces, now and later, and their ends. */
#include "rtmp.h"

/* A web client that never blocks. */
struct web {
    int fd, closed;
    char in[1 << 17];
    size_t have, total;
};

static struct web *web_open(int32_t port, const char *request)
{
    struct sockaddr_in to;
    struct web *c = calloc(1, sizeof *c);
    CHECK(c != NULL);
    memset(&to, 0, sizeof to);
    to.sin_family = AF_INET;
    to.sin_port = htons((uint16_t)port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(c->fd >= 0);
    EQ(connect(c->fd, (struct sockaddr *)&to, sizeof to), 0);
    EQ(send(c->fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
    return c;
}

/* Keeps the beginning of what has come, and counts all of it. */
static void web_read(struct web *c)
{
    char buffer[65536];
    ssize_t n;
    while ((n = recv(c->fd, buffer, sizeof buffer, MSG_DONTWAIT)) > 0) {
        size_t room = sizeof c->in - 1 - c->have, kept = (size_t)n < room ? (size_t)n : room;
        memcpy(c->in + c->have, buffer, kept);
        c->have += kept;
        c->total += (size_t)n;
        c->in[c->have] = 0;
    }
    if (n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK))
        c->closed = 1;
}

static void web_close(struct web *c, int abruptly)
{
    struct linger linger = {1, 0};
    if (abruptly)
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    close(c->fd);
    free(c);
}

static void web_until(struct host *h, struct web *c, const char *text)
{
    int64_t end = now_ms() + 30000;
    while (strstr(c->in, text) == NULL) {
        CHECK(now_ms() < end);
        CHECK(camrill_engine_poll(h->engine, 5) >= 0);
        web_read(c);
    }
}

/* A mount and what it has seen. */
struct page {
    struct host *h;
    camrill_id_t id, ticket, client, last_closed;
    int asked, writable, closed, freed, refused;
    char method[16], path[64], query[64], address[64], type[64], body[64];
    size_t body_size;
    void (*answer)(struct page *, const camrill_http_request_t *);
    void (*on_freed)(struct page *);
};

static void page_asked(void *user, const camrill_http_request_t *request)
{
    struct page *p = user;
    const char *type;
    CHECK(!p->freed && request->struct_size == sizeof *request && request->mount == p->id);
    CHECK(request->ticket != 0 && request->client != 0);
    p->h->after += p->h->given_up;
    p->asked++;
    p->ticket = request->ticket;
    p->client = request->client;
    keep(p->method, sizeof p->method, request->method);
    keep(p->path, sizeof p->path, request->path);
    keep(p->query, sizeof p->query, request->query);
    keep(p->address, sizeof p->address, request->address);
    type = camrill_http_request_header(request, "content-TYPE");
    keep(p->type, sizeof p->type, type != NULL ? type : "none");
    CHECK((request->body == NULL) == (request->body_size == 0) && request->body_size < sizeof p->body);
    p->body_size = request->body_size;
    if (request->body_size > 0)
        memcpy(p->body, request->body, request->body_size);
    p->body[request->body_size] = 0;
    if (p->answer != NULL)
        p->answer(p, request);
}

static void page_writable(void *user, camrill_id_t ticket)
{
    struct page *p = user;
    CHECK(!p->freed && ticket == p->ticket);
    p->h->after += p->h->given_up;
    p->writable++;
}

static void page_closed(void *user, camrill_id_t ticket)
{
    struct page *p = user;
    CHECK(!p->freed && ticket != 0);
    p->h->after += p->h->given_up;
    p->closed++;
    p->last_closed = ticket;
    EQ(camrill_http_end(p->h->engine, ticket), CAMRILL_ENOENT);
}

static void page_freed(void *user)
{
    struct page *p = user;
    p->freed++;
    CHECK(!p->h->freed);
    if (p->on_freed != NULL)
        p->on_freed(p);
}

static int32_t page_mount(struct page *p, struct host *h, const char *path, uint32_t ports)
{
    camrill_http_mount_t config = CAMRILL_HTTP_MOUNT_INIT;
    memset(p, 0, sizeof *p);
    p->h = h;
    config.path = path;
    config.ports = ports;
    config.user = p;
    config.user_free = page_freed;
    config.on_request = page_asked;
    config.on_writable = page_writable;
    config.on_closed = page_closed;
    return camrill_http_mount(h->engine, &config, &p->id);
}

static void site_start(struct host *h)
{
    host_make(h, 0);
    EQ(camrill_config_load_text(h->engine, "x",
                                "listen 127.0.0.1:0; http_server { enabled on; listen 127.0.0.1:0; dir /nonexistent; }"
                                "http_api { enabled on; listen 127.0.0.1:0; }"),
       0);
    EQ(camrill_engine_port(h->engine, "http"), CAMRILL_ENOENT);
    EQ(camrill_config_apply(h->engine), 0);
    h->port = camrill_engine_port(h->engine, "http");
    CHECK(h->port > 0 && h->port < 65536);
}

static void the_ports_are_told(void)
{
    struct host h;
    int32_t rtmp, http, api;
    site_start(&h);
    rtmp = camrill_engine_port(h.engine, "rtmp");
    http = camrill_engine_port(h.engine, "http");
    api = camrill_engine_port(h.engine, "api");
    CHECK(rtmp > 0 && http > 0 && api > 0 && rtmp != http && http != api && rtmp != api);
    EQ(camrill_engine_port(h.engine, "gopher"), CAMRILL_ENOENT);
    /* One socket for both. */
    EQ(camrill_config_set(h.engine, "http_server/enabled", "off"), 0);
    EQ(camrill_config_apply(h.engine), 0);
    EQ(camrill_engine_port(h.engine, "http"), CAMRILL_ENOENT);
    EQ(camrill_engine_port(h.engine, "api"), api);
    host_free(&h);
}

static void hello(struct page *p, const camrill_http_request_t *request)
{
    camrill_http_request_t copy = *request;
    EQ(camrill_http_request_header(request, "X-None") == NULL, 1);
    EQ(camrill_http_request_header(request, "") == NULL, 1);
    EQ(camrill_http_request_header(request, NULL) == NULL, 1);
    EQ(camrill_http_request_header(NULL, "Host") == NULL, 1);
    EQ_TEXT(camrill_http_request_header(&copy, "HOST"), "cam");
    EQ_TEXT(camrill_http_request_header(request, "X-Last"), "");
    EQ(camrill_http_respond(p->h->engine, request->ticket, 200, "Content-Type: text/plain\r\nX-A: b", (const uint8_t *)"hello", 5), 0);
    EQ(camrill_http_respond(p->h->engine, request->ticket, 200, NULL, NULL, 0), CAMRILL_ENOENT);
}

static void answered_at_once(void)
{
    struct host h;
    struct page p;
    struct web *c;
    site_start(&h);
    EQ(page_mount(&p, &h, "/config", CAMRILL_PORTS_SERVER), 0);
    CHECK(p.id != 0);
    p.answer = hello;
    c = web_open(h.port, "POST /con%66ig?a=%31 HTTP/1.1\r\nHost: cam\r\nContent-Type: text/x\r\nContent-Length: 3\r\nX-Last:\r\n\r\nabc");
    web_until(&h, c, "\r\n\r\nhello");
    CHECK(strstr(c->in, "HTTP/1.1 200 OK\r\n") == c->in);
    CHECK(strstr(c->in, "Content-Type: text/plain\r\nX-A: b\r\n") != NULL && strstr(c->in, "Content-Length: 5\r\n") != NULL);
    EQ_TEXT(p.method, "POST");
    EQ_TEXT(p.path, "/config");
    EQ_TEXT(p.query, "a=%31");
    EQ_TEXT(p.type, "text/x");
    EQ_TEXT(p.body, "abc");
    CHECK(strncmp(p.address, "127.0.0.1:", 10) == 0);
    EQ(p.asked, 1);
    web_close(c, 0);
    /* Not at the API's port. */
    c = web_open(camrill_engine_port(h.engine, "api"), "GET /config HTTP/1.1\r\nHost: cam\r\n\r\n");
    web_until(&h, c, "HTTP/1.1 404 ");
    EQ(p.asked, 1);
    web_close(c, 0);
    host_free(&h);
    EQ(p.freed, 1);
    EQ(p.closed, 0);
}

static void answer_later(void *user)
{
    struct page *p = user;
    EQ(camrill_http_respond(p->h->engine, p->ticket, 503, "Retry-After: 1\n", (const uint8_t *)"later", 5), 0);
}

static void answered_later(void)
{
    struct host h;
    struct page p;
    struct web *c;
    int i;
    site_start(&h);
    EQ(page_mount(&p, &h, "/cam/*", CAMRILL_PORTS_API), 0);
    c = web_open(camrill_engine_port(h.engine, "api"), "GET /cam/one HTTP/1.1\r\nHost: cam\r\n\r\n");
    while (p.asked == 0)
        CHECK(camrill_engine_poll(h.engine, 5) >= 0);
    EQ_TEXT(p.path, "/cam/one");
    EQ_TEXT(p.type, "none");
    for (i = 0; i < 3; i++)
        CHECK(camrill_engine_poll(h.engine, 5) >= 0);
    web_read(c);
    EQ(c->have, 0);
    EQ(camrill_engine_call(h.engine, answer_later, &p), 0);
    web_until(&h, c, "\r\n\r\nlater");
    CHECK(strstr(c->in, "HTTP/1.1 503 Service Unavailable\r\n") == c->in && strstr(c->in, "Retry-After: 1\r\n") != NULL);
    web_close(c, 0);
    host_free(&h);
    EQ(p.freed, 1);
}

/* A big body at the pace of its reader. */
static void in_pieces(void)
{
    static uint8_t piece[50000];
    struct host h;
    struct page p;
    struct web *c;
    size_t sent = 0, all = 200 * sizeof piece;
    int64_t end = now_ms() + 60000;
    memset(piece, 'x', sizeof piece);
    site_start(&h);
    EQ(page_mount(&p, &h, "/big", 0), 0);
    c = web_open(h.port, "GET /big HTTP/1.1\r\nHost: cam\r\nConnection: close\r\n\r\n");
    while (p.asked == 0)
        CHECK(camrill_engine_poll(h.engine, 5) >= 0);
    EQ(camrill_http_write(h.engine, p.ticket, piece, 1), CAMRILL_ESTATE);
    EQ(camrill_http_end(h.engine, p.ticket), CAMRILL_ESTATE);
    EQ(camrill_http_begin(h.engine, p.ticket, 200, NULL, (int64_t)all), 0);
    EQ(camrill_http_begin(h.engine, p.ticket, 200, NULL, -1), CAMRILL_ESTATE);
    EQ(camrill_http_respond(h.engine, p.ticket, 200, NULL, NULL, 0), CAMRILL_ESTATE);
    while (sent < all) {
        int32_t result = camrill_http_write(h.engine, p.ticket, piece, sizeof piece);
        CHECK(now_ms() < end);
        if (result == 0) {
            sent += sizeof piece;
            continue;
        }
        EQ(result, CAMRILL_EAGAIN);
        p.refused++;
        p.writable = 0;
        while (p.writable == 0) {
            CHECK(now_ms() < end);
            CHECK(camrill_engine_poll(h.engine, 5) >= 0);
            web_read(c);
        }
    }
    CHECK(p.refused > 10);
    EQ(camrill_http_write(h.engine, p.ticket, piece, 0), 0);
    EQ(camrill_http_write(h.engine, p.ticket, piece, 1), CAMRILL_EINVAL);
    EQ(camrill_http_end(h.engine, p.ticket), 0);
    EQ(camrill_http_end(h.engine, p.ticket), CAMRILL_ENOENT);
    while (!c->closed) {
        CHECK(now_ms() < end);
        CHECK(camrill_engine_poll(h.engine, 5) >= 0);
        web_read(c);
    }
    EQ(c->total, all + (size_t)(strstr(c->in, "\r\n\r\n") + 4 - c->in));
    EQ(p.closed, 0);
    web_close(c, 0);

    /* Without a length, in chunks. */
    p.asked = 0;
    c = web_open(h.port, "GET /big HTTP/1.1\r\nHost: cam\r\n\r\n");
    while (p.asked == 0)
        CHECK(camrill_engine_poll(h.engine, 5) >= 0);
    EQ(camrill_http_begin(h.engine, p.ticket, 200, "Content-Type: multipart/x-mixed-replace", -1), 0);
    EQ(camrill_http_write(h.engine, p.ticket, (const uint8_t *)"abc", 3), 0);
    web_until(&h, c, "\r\n\r\n3\r\nabc\r\n");
    EQ(camrill_http_end(h.engine, p.ticket), 0);
    web_until(&h, c, "\r\n0\r\n\r\n");

    /* HEAD has no body: the answer is whole when it begins. */
    web_close(c, 0);
    p.asked = 0;
    c = web_open(h.port, "HEAD /big HTTP/1.1\r\nHost: cam\r\n\r\n");
    while (p.asked == 0)
        CHECK(camrill_engine_poll(h.engine, 5) >= 0);
    EQ_TEXT(p.method, "HEAD");
    EQ(camrill_http_begin(h.engine, p.ticket, 200, NULL, 77), 0);
    EQ(camrill_http_write(h.engine, p.ticket, piece, 1), CAMRILL_ENOENT);
    web_until(&h, c, "Content-Length: 77\r\n");
    EQ(p.closed, 1);
    web_close(c, 0);
    host_free(&h);
    EQ(p.freed, 1);
}

static void clients_that_go(void)
{
    struct host h;
    struct page p;
    struct web *c;
    int begins, i;
    site_start(&h);
    EQ(page_mount(&p, &h, "/a", 0), 0);
    for (begins = 0; begins < 2; begins++) {
        c = web_open(h.port, "GET /a HTTP/1.1\r\nHost: cam\r\n\r\n");
        while (p.asked == begins)
            CHECK(camrill_engine_poll(h.engine, 5) >= 0);
        if (begins)
            EQ(camrill_http_begin(h.engine, p.ticket, 200, NULL, -1), 0);
        web_close(c, 1);
        while (p.closed == begins)
            CHECK(camrill_engine_poll(h.engine, 5) >= 0);
        EQ(p.last_closed, p.ticket);
        EQ(camrill_http_respond(h.engine, p.ticket, 200, NULL, NULL, 0), CAMRILL_ENOENT);
        EQ(camrill_http_begin(h.engine, p.ticket, 200, NULL, -1), CAMRILL_ENOENT);
        EQ(camrill_http_write(h.engine, p.ticket, NULL, 0), CAMRILL_ENOENT);
    }
    c = web_open(h.port, "GET /a HTTP/1.1\r\nHost: cam\r\n\r\n");
    while (p.asked == 2)
        CHECK(camrill_engine_poll(h.engine, 5) >= 0);
    EQ(camrill_client_kick(h.engine, p.client), 0);
    for (i = 0; i < 1000 && p.closed == 2; i++)
        CHECK(camrill_engine_poll(h.engine, 5) >= 0);
    EQ(p.closed, 3);
    web_close(c, 0);
    /* What the engine is freed with has no last word but user_free. */
    c = web_open(h.port, "GET /a HTTP/1.1\r\nHost: cam\r\n\r\n");
    while (p.asked == 3)
        CHECK(camrill_engine_poll(h.engine, 5) >= 0);
    host_free(&h);
    EQ(p.closed, 3);
    EQ(p.freed, 1);
    web_close(c, 0);
}

static void wrong_arguments(void)
{
    static const char *const paths[] = {"", "config", "*", "/a//b", "/../a", "/a*b", "/a?b", "/\xff"};
    static const char *const lines[] = {"x", ": y", "a b: c", "Content-Length: 5", "X: y\r\nconnection: close", "X: \xff"};
    struct host h;
    struct page p, q, r;
    struct web *c;
    camrill_http_mount_t config = CAMRILL_HTTP_MOUNT_INIT;
    camrill_id_t id = 7;
    size_t i;
    char path[16];
    site_start(&h);
    for (i = 0; i < COUNT(paths); i++) {
        EQ(page_mount(&p, &h, paths[i], 0), CAMRILL_EINVAL);
        EQ(p.id, 0);
    }
    EQ(page_mount(&p, &h, NULL, 0), CAMRILL_EINVAL);
    EQ(page_mount(&p, &h, "/a", 4), CAMRILL_EINVAL);
    CHECK(strstr(why(h.engine), "ports is 4") != NULL);
    config.path = "/a";
    EQ(camrill_http_mount(h.engine, &config, &id), CAMRILL_EINVAL);
    CHECK(strstr(why(h.engine), "on_request") != NULL);
    config.on_request = page_asked;
    config.struct_size = 3;
    EQ(camrill_http_mount(h.engine, &config, &id), CAMRILL_EINVAL);
    EQ(camrill_http_mount(h.engine, NULL, &id), CAMRILL_EINVAL);
    EQ(camrill_http_mount(NULL, &config, &id), CAMRILL_EINVAL);
    EQ(id, 7);
    EQ(p.freed, 0);

    EQ(page_mount(&p, &h, "/a", 0), 0);
    EQ(page_mount(&q, &h, "/a", CAMRILL_PORTS_API), CAMRILL_EBUSY);
    EQ(q.freed, 0);
    /* Without `out`, and with a struct of an older header that ends before on_writable. */
    config.struct_size = (uint32_t)offsetof(camrill_http_mount_t, on_writable);
    config.path = "/b";
    config.on_writable = NULL;
    EQ(camrill_http_mount(h.engine, &config, NULL), 0);
    for (i = 0; i < 62; i++) {
        snprintf(path, sizeof path, "/%d", (int)i);
        config.path = path;
        EQ(camrill_http_mount(h.engine, &config, NULL), 0);
    }
    EQ(page_mount(&r, &h, "/c", 0), CAMRILL_ELIMIT);

    c = web_open(h.port, "GET /a HTTP/1.1\r\nHost: cam\r\n\r\n");
    while (p.asked == 0)
        CHECK(camrill_engine_poll(h.engine, 5) >= 0);
    for (i = 0; i < COUNT(lines); i++) {
        EQ(camrill_http_respond(h.engine, p.ticket, 200, lines[i], NULL, 0), CAMRILL_EINVAL);
        EQ(camrill_http_begin(h.engine, p.ticket, 200, lines[i], -1), CAMRILL_EINVAL);
    }
    EQ(camrill_http_respond(h.engine, p.ticket, 101, NULL, NULL, 0), CAMRILL_EINVAL);
    EQ(camrill_http_respond(h.engine, p.ticket, -1, NULL, NULL, 0), CAMRILL_EINVAL);
    EQ(camrill_http_respond(h.engine, p.ticket, 65736, NULL, NULL, 0), CAMRILL_EINVAL);
    EQ(camrill_http_respond(h.engine, p.ticket, 200, NULL, NULL, 5), CAMRILL_EINVAL);
    EQ(camrill_http_respond(h.engine, p.ticket, 200, NULL, (const uint8_t *)"", SIZE_MAX), CAMRILL_EINVAL);
    EQ(camrill_http_respond(NULL, p.ticket, 200, NULL, NULL, 0), CAMRILL_EINVAL);
    EQ(camrill_http_respond(h.engine, 0, 200, NULL, NULL, 0), CAMRILL_ENOENT);
    EQ(camrill_http_respond(h.engine, p.ticket + (1u << 20), 200, NULL, NULL, 0), CAMRILL_ENOENT);
    EQ(camrill_http_begin(NULL, p.ticket, 200, NULL, 0), CAMRILL_EINVAL);
    EQ(camrill_http_write(NULL, p.ticket, NULL, 0), CAMRILL_EINVAL);
    EQ(camrill_http_write(h.engine, p.ticket, NULL, 1), CAMRILL_EINVAL);
    EQ(camrill_http_end(NULL, p.ticket), CAMRILL_EINVAL);
    EQ(camrill_http_unmount(NULL, p.id), CAMRILL_EINVAL);
    EQ(camrill_http_unmount(h.engine, 0), CAMRILL_ENOENT);
    EQ(camrill_http_respond(h.engine, p.ticket, 200, "\r\n\r\nX: y\r\n\r\n", NULL, 0), 0);
    web_until(&h, c, "HTTP/1.1 200 OK\r\n");
    web_close(c, 0);
    host_free(&h);
    EQ(p.freed, 1);
    EQ(q.freed + r.freed, 0);
}

static void unmount_itself(struct page *p, const camrill_http_request_t *request)
{
    EQ(camrill_http_unmount(p->h->engine, p->id), 0);
    EQ(camrill_http_unmount(p->h->engine, p->id), CAMRILL_ENOENT);
    EQ(camrill_http_respond(p->h->engine, request->ticket, 200, NULL, NULL, 0), CAMRILL_ENOENT);
    EQ_TEXT(request->path, "/a");
    EQ(p->freed, 0);
}

static void mount_again(struct page *p)
{
    struct page *next = p->h->more;
    EQ(page_mount(next, p->h, "/a", 0), 0);
}

static void unmounted(void)
{
    struct host h;
    struct page p, next;
    struct web *c[3];
    int i;
    site_start(&h);
    EQ(page_mount(&p, &h, "/a", 0), 0);
    for (i = 0; i < 2; i++) {
        c[i] = web_open(h.port, "GET /a HTTP/1.1\r\nHost: cam\r\n\r\n");
        while (p.asked == i)
            CHECK(camrill_engine_poll(h.engine, 5) >= 0);
    }
    /* One waits, one has begun to be answered, one asks for the last time. */
    EQ(camrill_http_begin(h.engine, p.ticket, 200, NULL, -1), 0);
    p.answer = unmount_itself;
    p.on_freed = mount_again;
    h.more = &next;
    c[2] = web_open(h.port, "GET /a HTTP/1.1\r\nHost: cam\r\n\r\n");
    while (p.freed == 0)
        CHECK(camrill_engine_poll(h.engine, 5) >= 0);
    EQ(p.asked, 3);
    web_until(&h, c[0], "HTTP/1.1 503 ");
    web_until(&h, c[2], "HTTP/1.1 503 ");
    while (!c[1]->closed) {
        CHECK(camrill_engine_poll(h.engine, 5) >= 0);
        web_read(c[1]);
    }
    for (i = 0; i < 3; i++)
        web_close(c[i], 0);
    /* Mounted again in user_free. */
    next.answer = hello;
    c[0] = web_open(h.port, "GET /a HTTP/1.1\r\nHost: cam\r\nX-Last:\r\n\r\n");
    web_until(&h, c[0], "\r\n\r\nhello");
    web_close(c[0], 0);
    /* Unmounted and no poll between: freed with the engine. */
    EQ(camrill_http_unmount(h.engine, next.id), 0);
    EQ(next.freed, 0);
    host_free(&h);
    EQ(p.freed, 1);
    EQ(p.closed, 0);
    EQ(next.freed, 1);
    EQ(next.closed, 0);
}

static void give_up(struct page *p)
{
    camrill_engine_free(p->h->engine);
    p->h->given_up = 1;
    EQ(p->h->freed, 0);
    EQ(camrill_http_unmount(p->h->engine, p->id), CAMRILL_ESTATE);
}

static void give_up_in_request(struct page *p, const camrill_http_request_t *request)
{
    give_up(p);
    EQ(camrill_http_respond(p->h->engine, request->ticket, 200, NULL, NULL, 0), CAMRILL_ESTATE);
    EQ_TEXT(camrill_http_request_header(request, "Host"), "cam");
}

static void freed_inside_callbacks(void)
{
    struct host h;
    struct page p, other;
    struct web *c, *d;
    int runs;
    for (runs = 0; runs < 2; runs++) {
        site_start(&h);
        EQ(page_mount(&p, &h, "/a", 0), 0);
        EQ(page_mount(&other, &h, "/b", 0), 0);
        p.answer = give_up_in_request;
        c = web_open(h.port, "GET /a HTTP/1.1\r\nHost: cam\r\n\r\n");
        d = web_open(h.port, "GET /a HTTP/1.1\r\nHost: cam\r\n\r\n");
        if (runs)
            EQ(camrill_engine_run(h.engine), 0);
        while (!h.freed)
            CHECK(camrill_engine_poll(h.engine, 5) >= 0);
        EQ(h.after, 0);
        EQ(p.asked, 1);
        EQ(p.freed, 1);
        EQ(other.freed, 1);
        web_close(c, 0);
        web_close(d, 0);
        /* In user_free of a mount. */
        site_start(&h);
        EQ(page_mount(&p, &h, "/a", 0), 0);
        EQ(page_mount(&other, &h, "/b", 0), 0);
        p.on_freed = give_up;
        EQ(camrill_http_unmount(h.engine, p.id), 0);
        if (runs)
            EQ(camrill_engine_run(h.engine), 0);
        while (!h.freed)
            CHECK(camrill_engine_poll(h.engine, 5) >= 0);
        EQ(h.after, 0);
        EQ(p.freed, 1);
        EQ(other.freed, 1);
    }
}

int main(void)
{
    RUN(the_ports_are_told);
    RUN(answered_at_once);
    RUN(answered_later);
    RUN(in_pieces);
    RUN(clients_that_go);
    RUN(wrong_arguments);
    RUN(unmounted);
    RUN(freed_inside_callbacks);
    return 0;
}
