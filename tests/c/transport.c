/* TLS from C: a transport of the host's, and certificates from memory. With CAMRILL_TLS the library is built
 * with TLS of its own. */
#include "rtmp.h"

/* A transport that hides nothing: a server's handshake is the first byte, which has to be RTMP's. */
struct toy {
    struct host *host;
    char server[64]; /* the last one that was connected to */
    int opened, closed, freed, refuses, lies, meddles;
};

struct connection {
    struct toy *toy;
    camrill_io_t *io;
    uint8_t first;
    int has_first, is_client;
    const void *again;
    size_t again_size;
};

static void *toy_open(void *user, camrill_io_t *io, const char *host)
{
    struct toy *t = user;
    struct connection *c;
    uint8_t byte = 0;
    CHECK(!t->freed);
    /* Not yet. */
    EQ(camrill_io_send(io, &byte, 1), CAMRILL_ESTATE);
    if (t->refuses)
        return NULL;
    c = calloc(1, sizeof *c);
    CHECK(c != NULL);
    c->toy = t;
    c->io = io;
    c->is_client = host != NULL;
    if (host != NULL)
        keep(t->server, sizeof t->server, host);
    t->opened++;
    return c;
}

static int32_t toy_handshake(void *connection)
{
    struct connection *c = connection;
    int32_t n;
    if (c->is_client)
        return 0;
    n = camrill_io_recv(c->io, &c->first, 1);
    if (n <= 0)
        return n == 0 ? -1 : n;
    c->has_first = 1;
    return c->first == 3 ? 0 : -7;
}

static int32_t toy_read(void *connection, void *buffer, size_t size)
{
    struct connection *c = connection;
    struct toy *t = c->toy;
    CHECK(size > 0);
    if (t->meddles) {
        camrill_stats_t stats;
        stats.struct_size = sizeof stats;
        EQ(camrill_stats(t->host->engine, &stats), CAMRILL_EREENTRANT);
        EQ_TEXT(why(t->host->engine), "neither the functions of a transport nor release may use the engine");
        EQ(camrill_engine_poll(t->host->engine, 0), CAMRILL_EREENTRANT);
        EQ(camrill_engine_wake(t->host->engine), 0);
        t->meddles++;
    }
    if (t->lies)
        return (int32_t)size + 1;
    if (c->has_first) {
        c->has_first = 0;
        *(uint8_t *)buffer = c->first;
        return 1;
    }
    return camrill_io_recv(c->io, buffer, size);
}

/* At most so much at once, so that there is always a rest. */
static int32_t toy_write(void *connection, const void *data, size_t size)
{
    struct connection *c = connection;
    int32_t n;
    CHECK(size > 0 && (c->again == NULL || (c->again == data && c->again_size == size)));
    n = camrill_io_send(c->io, data, size < 1000 ? size : 1000);
    c->again = n == CAMRILL_EAGAIN ? data : NULL;
    c->again_size = size;
    return n;
}

static size_t toy_error(void *connection, char *buffer, size_t size)
{
    struct connection *c = connection;
    int n = snprintf(buffer, size, "the first byte is %d", c->first);
    return n < 0 ? 0 : (size_t)n;
}

static void toy_close(void *connection)
{
    struct connection *c = connection;
    c->toy->closed++;
    CHECK(!c->toy->freed);
    free(c);
}

static void toy_freed(void *user)
{
    struct toy *t = user;
    EQ(t->closed, t->opened);
    CHECK(!t->host->freed);
    t->freed++;
}

static camrill_transport_t toy_transport(struct toy *t, struct host *h)
{
    camrill_transport_t transport = CAMRILL_TRANSPORT_INIT;
    memset(t, 0, sizeof *t);
    t->host = h;
    transport.user = t;
    transport.user_free = toy_freed;
    transport.open = toy_open;
    transport.handshake = toy_handshake;
    transport.read = toy_read;
    transport.write = toy_write;
    transport.error = toy_error;
    transport.close = toy_close;
    return transport;
}

/* An engine that serves RTMPS by the toy. */
static void toy_start(struct host *h, struct toy *t)
{
    camrill_transport_t transport;
    host_make(h, 0);
    transport = toy_transport(t, h);
    EQ(camrill_engine_set_transport(h->engine, &transport), 0);
    EQ(camrill_config_set(h->engine, "rtmps/enabled", "on"), 0);
    EQ(camrill_config_set(h->engine, "rtmps/listen", "127.0.0.1:0"), 0);
    EQ(camrill_config_apply(h->engine), 0);
    EQ(camrill_engine_port(h->engine, "rtmp"), CAMRILL_ENOENT);
    h->port = camrill_engine_port(h->engine, "rtmps");
    CHECK(h->port > 0);
}

/* Whether the log has a line with this. */
static int logged(const struct host *h, const char *text)
{
    return strstr(h->log, text) != NULL;
}

static void wrong_arguments_are_refused(void)
{
    struct host h;
    struct toy t;
    camrill_transport_t transport;
    uint8_t byte = 0;
    host_make(&h, 0);
    transport = toy_transport(&t, &h);
    EQ(camrill_engine_set_transport(NULL, &transport), CAMRILL_EINVAL);
    transport.struct_size = 0;
    EQ(camrill_engine_set_transport(h.engine, &transport), CAMRILL_EINVAL);
    transport = toy_transport(&t, &h);
    transport.handshake = NULL;
    EQ(camrill_engine_set_transport(h.engine, &transport), CAMRILL_EINVAL);
    EQ_TEXT(why(h.engine), "the transport's handshake is NULL");
    EQ(t.freed, 0);
    EQ(camrill_io_send(NULL, &byte, 1), CAMRILL_EINVAL);
    EQ(camrill_io_recv(NULL, &byte, 1), CAMRILL_EINVAL);
    EQ(camrill_tls_set_certificate(h.engine, "x", 1, NULL, 0), CAMRILL_EINVAL);
    EQ(camrill_tls_set_certificate(h.engine, NULL, 0, "x", 1), CAMRILL_EINVAL);
    EQ(camrill_tls_set_certificate(NULL, NULL, 0, NULL, 0), CAMRILL_EINVAL);
    EQ(camrill_tls_set_roots(NULL, NULL, 0), CAMRILL_EINVAL);
    EQ(camrill_tls_set_certificate(h.engine, "x", 1, "x", 1), CAMRILL_ETLS);
    EQ(camrill_tls_set_roots(h.engine, "x", 1), CAMRILL_ETLS);
    /* Taken and taken back. */
    transport = toy_transport(&t, &h);
    EQ(camrill_engine_set_transport(h.engine, &transport), 0);
    EQ(camrill_engine_set_transport(h.engine, NULL), 0);
    EQ(t.freed, 1);
    EQ(camrill_engine_set_transport(h.engine, NULL), 0);
    host_free(&h);
}

static void streams_go_through_a_transport(void)
{
    struct host h;
    struct toy t;
    struct camera camera;
    struct rtmp *player;
    int i;
    toy_start(&h, &t);
    t.meddles = 1;
    player = rtmp_open(h.port, "live", "a", 0);
    UNTIL(&h, player, player->state == RTMP_GOING);
    CHECK(t.meddles > 1);
    CHECK(logged(&h, "rtmps client from 127.0.0.1:"));
    EQ(camera_new(&camera, &h, "a"), 0);
    /* More than a socket holds, and the player doesn't read: the rest waits, and nothing is lost. */
    for (i = 0; i < 200; i++) {
        EQ(camera_video(&camera, i % 10 == 0, 40000, (uint8_t)i), 0);
        EQ(camrill_engine_poll(h.engine, 0) >= 0, 1);
    }
    UNTIL(&h, player, player->video == 200);
    for (i = 0; i < 200; i++) {
        const struct rtmp_message *m = &player->media[player->count - 200 + i];
        uint8_t body[40009], length[] = {0, 0, 0x9c, 0x40};
        memset(body, 0, sizeof body);
        body[0] = i % 10 == 0 ? 0x17 : 0x27;
        body[1] = 1;
        memcpy(body + 5, length, 4);
        body[9] = i % 10 == 0 ? 0x65 : 0x41;
        memset(body + 10, (uint8_t)i | 0x80, sizeof body - 10);
        EQ(m->size, sizeof body);
        EQ(m->hash, hash_of(body, sizeof body));
    }
    rtmp_close(player, 0);
    UNTIL(&h, NULL, t.closed == 1);
    EQ(t.opened, 1);
    EQ(t.freed, 0);
    camrill_publisher_free(camera.publisher);
    host_free(&h);
    EQ(t.freed, 1);
}

static void outgoing_connections_go_through_a_transport(void)
{
    struct host h;
    struct toy t;
    struct camera camera;
    struct rtmp *player;
    camrill_forward_config_t config = CAMRILL_FORWARD_CONFIG_INIT;
    camrill_forward_t *forward;
    char url[64];
    int i;
    toy_start(&h, &t);
    player = rtmp_open(h.port, "live", "b", 0);
    UNTIL(&h, player, player->state == RTMP_GOING);
    EQ_TEXT(t.server, "");
    /* To itself, under another name. */
    snprintf(url, sizeof url, "rtmps://127.0.0.1:%d/live/b", (int)h.port);
    config.app = "live";
    config.name = "a";
    config.url = url;
    config.retry.first_ms = config.retry.longest_ms = 20;
    EQ(camrill_forward_new(h.engine, &config, &forward), 0);
    EQ(camera_new(&camera, &h, "a"), 0);
    t.refuses = 1;
    EQ(camera_video(&camera, 1, 40000, 0), 0);
    UNTIL(&h, player, h.last[CAMRILL_EVENT_FORWARD].state == CAMRILL_RELAY_WAITING);
    EQ_TEXT(h.last[CAMRILL_EVENT_FORWARD].reason, "the host's transport opens no connection");
    t.refuses = 0;
    UNTIL(&h, player, player->video == 1);
    for (i = 1; i < 20; i++) {
        EQ(camera_video(&camera, i % 10 == 0, 40000, (uint8_t)i), 0);
        EQ(camrill_engine_poll(h.engine, 0) >= 0, 1);
    }
    UNTIL(&h, player, player->video == 20);
    EQ_TEXT(t.server, "127.0.0.1");
    EQ(t.opened, 3);
    camrill_forward_free(forward);
    UNTIL(&h, player, t.closed == 2);
    rtmp_close(player, 0);
    camrill_publisher_free(camera.publisher);
    host_free(&h);
    EQ(t.freed, 1);
}

static void failures_are_told(void)
{
    struct host h;
    struct toy t;
    struct rtmp *client;
    toy_start(&h, &t);
    client = rtmp_open(h.port, "live", "a", 0);
    t.lies = 1;
    UNTIL(&h, client, client->state == RTMP_CLOSED);
    CHECK(logged(&h, "closed: TLS: the host's transport answered "));
    t.lies = 0;
    rtmp_close(client, 0);
    t.refuses = 1;
    client = rtmp_open(h.port, "live", "a", 0);
    UNTIL(&h, client, client->state == RTMP_CLOSED);
    CHECK(logged(&h, "refused: the host's transport opens no connection"));
    rtmp_close(client, 0);
    t.refuses = 0;
    EQ(t.opened, 1);
    EQ(t.closed, 1);
    host_free(&h);
    EQ(t.freed, 1);
}

static void a_wrong_handshake_ends_the_connection(void)
{
    struct host h;
    struct toy t;
    struct sockaddr_in to;
    char byte = 'x';
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    toy_start(&h, &t);
    memset(&to, 0, sizeof to);
    to.sin_family = AF_INET;
    to.sin_port = htons((uint16_t)h.port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EQ(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    UNTIL(&h, NULL, t.opened == 1);
    EQ(send(fd, &byte, 1, MSG_NOSIGNAL), 1);
    UNTIL(&h, NULL, t.closed == 1);
    CHECK(logged(&h, "closed: TLS: the first byte is 120;"));
    close(fd);
    host_free(&h);
}

static void a_transport_outlives_its_replacement(void)
{
    struct host h;
    struct toy first, second;
    camrill_transport_t transport;
    struct rtmp *a, *b;
    toy_start(&h, &first);
    a = rtmp_open(h.port, "live", "a", 0);
    UNTIL(&h, a, a->state == RTMP_GOING);
    transport = toy_transport(&second, &h);
    EQ(camrill_engine_set_transport(h.engine, &transport), 0);
    EQ(first.freed, 0);
    b = rtmp_open(h.port, "live", "b", 0);
    UNTIL2(&h, a, b, b->state == RTMP_GOING);
    EQ(second.opened, 1);
    rtmp_close(a, 1);
    UNTIL(&h, b, first.freed == 1);
    EQ(first.closed, 1);
    /* With a connection open. */
    host_free(&h);
    EQ(second.closed, 1);
    EQ(second.freed, 1);
    rtmp_close(b, 0);
}

#ifdef CAMRILL_TLS
static const char CERT[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBpTCCAUqgAwIBAgIUbDowev06G0+10aGT+qsyHx2NUXEwCgYIKoZIzj0EAwIw\n"
    "GTEXMBUGA1UEAwwOY2FtZXJhLmV4YW1wbGUwIBcNMjYxMTIxMDMzMjE2WhgPMjEy\n"
    "NjEwMjgwMzMyMTZaMBkxFzAVBgNVBAMMDmNhbWVyYS5leGFtcGxlMFkwEwYHKoZI\n"
    "zj0CAQYIKoZIzj0DAQcDQgAEiVEXeiNPadBx9moz0Jap5mnlpgYFrQ43APd0a4HW\n"
    "rxvkRxBVRqnZwphIpNT34n3m5yjQMOG8RtRr5CvZD2/BBqNuMGwwHQYDVR0OBBYE\n"
    "FEqp138Hp2JtMQTv0NhL6u5/pjAEMB8GA1UdIwQYMBaAFEqp138Hp2JtMQTv0NhL\n"
    "6u5/pjAEMA8GA1UdEwEB/wQFMAMBAf8wGQYDVR0RBBIwEIIOY2FtZXJhLmV4YW1w\n"
    "bGUwCgYIKoZIzj0EAwIDSQAwRgIhAI/8/EySWj+phYznDDPewQb/oEEj/GnI1GYF\n"
    "WefodZLnAiEA3LZWY/wDdF7vAKu/nzK0bmrYkf/LJORHVVx0ghDzyDw=\n"
    "-----END CERTIFICATE-----\n";

static const char KEY[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgWjGWh9eGe+bA3GRN\n"
    "ml72JzDmITUxY5LfmKuL8kp6KQehRANCAASJURd6I09p0HH2ajPQlqnmaeWmBgWt\n"
    "DjcA93RrgdavG+RHEFVGqdnCmEik1PfifebnKNAw4bxG1GvkK9kPb8EG\n"
    "-----END PRIVATE KEY-----\n";

static void a_certificate_may_come_from_memory(void)
{
    struct host h;
    host_make(&h, 0);
    EQ(camrill_config_set(h.engine, "rtmps/enabled", "on"), 0);
    EQ(camrill_config_set(h.engine, "rtmps/listen", "127.0.0.1:0"), 0);
    EQ(camrill_config_set(h.engine, "rtmps/cert", "/nowhere/cert.pem"), 0);
    EQ(camrill_config_apply(h.engine), CAMRILL_ECONFIG);
    CHECK(strstr(why(h.engine), "/nowhere/cert.pem: No such file") != NULL);
    EQ(camrill_tls_set_certificate(h.engine, CERT, sizeof CERT - 1, KEY, sizeof KEY - 1), 0);
    EQ(camrill_tls_set_roots(h.engine, CERT, sizeof CERT - 1), 0);
    EQ(camrill_tls_set_roots(h.engine, NULL, 0), 0);
    EQ(camrill_config_apply(h.engine), 0);
    CHECK(camrill_engine_port(h.engine, "rtmps") > 0);
    EQ(camrill_engine_port(h.engine, "https"), CAMRILL_ENOENT);
    EQ(camrill_engine_port(h.engine, "api_https"), CAMRILL_ENOENT);
    /* What can't be used leaves what was. */
    EQ(camrill_tls_set_certificate(h.engine, KEY, sizeof KEY - 1, KEY, sizeof KEY - 1), CAMRILL_ETLS);
    EQ(camrill_config_apply(h.engine), 0);
    EQ(camrill_tls_set_certificate(h.engine, NULL, 0, NULL, 0), 0);
    EQ(camrill_config_apply(h.engine), CAMRILL_ECONFIG);
    host_free(&h);
}
#else
static void without_tls_it_is_refused(void)
{
    struct host h;
    host_make(&h, 0);
    EQ(camrill_config_set(h.engine, "rtmps/enabled", "on"), 0);
    EQ(camrill_config_apply(h.engine), CAMRILL_ECONFIG);
    EQ_TEXT(why(h.engine), "rtmps/enabled: rtmps: this library is built without the feature `tls`, and the host "
                           "has given it no transport");
    EQ(camrill_tls_set_certificate(h.engine, NULL, 0, NULL, 0), CAMRILL_ETLS);
    EQ_TEXT(camrill_strerror(CAMRILL_ETLS), "no TLS with that certificate or key");
    host_free(&h);
}
#endif

int main(void)
{
    RUN(wrong_arguments_are_refused);
    RUN(streams_go_through_a_transport);
    RUN(outgoing_connections_go_through_a_transport);
    RUN(failures_are_told);
    RUN(a_wrong_handshake_ends_the_connection);
    RUN(a_transport_outlives_its_replacement);
#ifdef CAMRILL_TLS
    RUN(a_certificate_may_come_from_memory);
#else
    RUN(without_tls_it_is_refused);
#endif
    return 0;
}
