/* TLS by mbedTLS: RTMPS with a certificate and a key from files, in PEM.
 *
 * transport-mbedtls [ADDRESS:]PORT CERT KEY [URL]
 *
 * What is published is sent on to URL, if there is one: rtmps://live.example.com/app/[stream], say.
 * Its engine could as well be one that is built without TLS. Link with -lmbedtls -lmbedx509 -lmbedcrypto. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/error.h>
#include <mbedtls/net_sockets.h>
#include <mbedtls/ssl.h>
#include <mbedtls/version.h>

#include <camrill.h>

#define FORWARD "vhost/__defaultVhost__/forward/"

/* Whom outgoing connections trust. */
#define ROOTS "/etc/ssl/certs/ca-certificates.crt"

/* What connections share. */
struct user {
    mbedtls_entropy_context entropy;
    mbedtls_ctr_drbg_context random;
    mbedtls_x509_crt cert, roots;
    mbedtls_pk_context key;
    mbedtls_ssl_config server, client;
};

struct connection {
    mbedtls_ssl_context ssl;
    int error;
};

/* The socket as mbedTLS sees it. */
static int io_send(void *io, const unsigned char *data, size_t size)
{
    int32_t n = camrill_io_send(io, data, size);
    return n == CAMRILL_EAGAIN ? MBEDTLS_ERR_SSL_WANT_WRITE : n < 0 ? MBEDTLS_ERR_NET_SEND_FAILED : n;
}

static int io_recv(void *io, unsigned char *buffer, size_t size)
{
    int32_t n = camrill_io_recv(io, buffer, size);
    return n == CAMRILL_EAGAIN ? MBEDTLS_ERR_SSL_WANT_READ : n < 0 ? MBEDTLS_ERR_NET_RECV_FAILED : n;
}

static void tls_close(void *connection)
{
    struct connection *c = connection;
    if (c->error == 0)
        mbedtls_ssl_close_notify(&c->ssl);
    mbedtls_ssl_free(&c->ssl);
    free(c);
}

static void *tls_open(void *user, camrill_io_t *io, const char *host)
{
    struct user *u = user;
    struct connection *c = calloc(1, sizeof *c);
    if (c == NULL)
        return NULL;
    mbedtls_ssl_init(&c->ssl);
    c->error = mbedtls_ssl_setup(&c->ssl, host == NULL ? &u->server : &u->client);
    if (c->error == 0 && host != NULL)
        c->error = mbedtls_ssl_set_hostname(&c->ssl, host);
    if (c->error != 0) {
        tls_close(c);
        return NULL;
    }
    mbedtls_ssl_set_bio(&c->ssl, io, io_send, io_recv, NULL);
    return c;
}

static int32_t answer(struct connection *c, int result)
{
    switch (result) {
    case MBEDTLS_ERR_SSL_WANT_READ:
    case MBEDTLS_ERR_SSL_WANT_WRITE: return CAMRILL_EAGAIN;
    /* What is spoken says where it ends: a peer may just close. */
    case MBEDTLS_ERR_SSL_CONN_EOF:
    case MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY: return 0;
    default:
        if (result < 0)
            c->error = result;
        return result < 0 ? CAMRILL_EPROTOCOL : result;
    }
}

static int32_t tls_handshake(void *connection)
{
    struct connection *c = connection;
    int result = mbedtls_ssl_handshake(&c->ssl);
    /* An end is a failure here. */
    if (result == MBEDTLS_ERR_SSL_CONN_EOF || result == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY)
        return c->error = result, CAMRILL_EPROTOCOL;
    return answer(c, result);
}

static int32_t tls_read(void *connection, void *buffer, size_t size)
{
    struct connection *c = connection;
    return answer(c, mbedtls_ssl_read(&c->ssl, buffer, size));
}

static int32_t tls_write(void *connection, const void *data, size_t size)
{
    struct connection *c = connection;
    return answer(c, mbedtls_ssl_write(&c->ssl, data, size));
}

static size_t tls_error(void *connection, char *buffer, size_t size)
{
    struct connection *c = connection;
    mbedtls_strerror(c->error, buffer, size);
    return strlen(buffer);
}

static void user_free(void *user)
{
    struct user *u = user;
    mbedtls_ssl_config_free(&u->client);
    mbedtls_ssl_config_free(&u->server);
    mbedtls_pk_free(&u->key);
    mbedtls_x509_crt_free(&u->roots);
    mbedtls_x509_crt_free(&u->cert);
    mbedtls_ctr_drbg_free(&u->random);
    mbedtls_entropy_free(&u->entropy);
    free(u);
}

static int configure(mbedtls_ssl_config *config, int endpoint, struct user *u)
{
    mbedtls_ssl_conf_rng(config, mbedtls_ctr_drbg_random, &u->random);
    return mbedtls_ssl_config_defaults(config, endpoint, MBEDTLS_SSL_TRANSPORT_STREAM,
                                       MBEDTLS_SSL_PRESET_DEFAULT);
}

static int load(struct user *u, const char *cert, const char *key)
{
    int error = mbedtls_ctr_drbg_seed(&u->random, mbedtls_entropy_func, &u->entropy, NULL, 0);
    if (error == 0)
        error = mbedtls_x509_crt_parse_file(&u->cert, cert);
    if (error == 0)
#if MBEDTLS_VERSION_MAJOR >= 3
        error = mbedtls_pk_parse_keyfile(&u->key, key, NULL, mbedtls_ctr_drbg_random, &u->random);
#else
        error = mbedtls_pk_parse_keyfile(&u->key, key, NULL);
#endif
    if (error == 0)
        error = configure(&u->server, MBEDTLS_SSL_IS_SERVER, u);
    if (error == 0)
        error = mbedtls_ssl_conf_own_cert(&u->server, &u->cert, &u->key);
    if (error == 0)
        error = configure(&u->client, MBEDTLS_SSL_IS_CLIENT, u);
    /* A system without roots trusts nobody; a positive answer counts those that can't be used. */
    mbedtls_x509_crt_parse_file(&u->roots, ROOTS);
    mbedtls_ssl_conf_ca_chain(&u->client, &u->roots, NULL);
    mbedtls_ssl_conf_authmode(&u->client, MBEDTLS_SSL_VERIFY_REQUIRED);
    return error;
}

static struct user *user_new(const char *cert, const char *key)
{
    struct user *u = calloc(1, sizeof *u);
    char text[128];
    int error;
    if (u == NULL)
        return NULL;
    mbedtls_entropy_init(&u->entropy);
    mbedtls_ctr_drbg_init(&u->random);
    mbedtls_x509_crt_init(&u->cert);
    mbedtls_x509_crt_init(&u->roots);
    mbedtls_pk_init(&u->key);
    mbedtls_ssl_config_init(&u->server);
    mbedtls_ssl_config_init(&u->client);
    error = load(u, cert, key);
    if (error == 0)
        return u;
    mbedtls_strerror(error, text, sizeof text);
    fprintf(stderr, "%s, %s: %s\n", cert, key, text);
    user_free(u);
    return NULL;
}

static void on_log(void *user, int32_t level, camrill_id_t client, const char *line)
{
    (void)user, (void)level;
    fprintf(stderr, "[%u] %s\n", (unsigned)client, line);
}

/* Serves until it is told to stop. */
static int serve(camrill_engine_t *engine, const char *listen, const char *url)
{
    if (url != NULL && (camrill_config_set(engine, FORWARD "enabled", "on") != 0 ||
                        camrill_config_set(engine, FORWARD "destination", url) != 0))
        return 0;
    return camrill_config_set(engine, "rtmps/enabled", "on") == 0 &&
           camrill_config_set(engine, "rtmps/listen", listen) == 0 && camrill_config_apply(engine) == 0 &&
           camrill_engine_run(engine) == 0;
}

int main(int argc, char **argv)
{
    camrill_engine_t *engine = NULL;
    camrill_engine_config_t config = CAMRILL_ENGINE_CONFIG_INIT;
    camrill_transport_t transport = CAMRILL_TRANSPORT_INIT;
    char text[512];

    if (argc != 4 && argc != 5) {
        fprintf(stderr, "usage: transport-mbedtls [ADDRESS:]PORT CERT KEY [URL]\n");
        return 2;
    }
    transport.user = user_new(argv[2], argv[3]);
    if (transport.user == NULL)
        return 1;
    transport.user_free = user_free;
    transport.open = tls_open;
    transport.handshake = tls_handshake;
    transport.read = tls_read;
    transport.write = tls_write;
    transport.error = tls_error;
    transport.close = tls_close;
    config.on_log = on_log;
    if (camrill_engine_new(&config, &engine) < 0 || camrill_engine_set_transport(engine, &transport) < 0)
        user_free(transport.user);
    else if (serve(engine, argv[1], argv[4])) {
        camrill_engine_free(engine);
        return 0;
    }
    camrill_engine_last_error(engine, text, sizeof text);
    fprintf(stderr, "%s\n", text);
    camrill_engine_free(engine);
    return 1;
}
