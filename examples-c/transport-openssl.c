/* TLS by OpenSSL: RTMPS with a certificate and a key from files, in PEM.
 *
 * transport-openssl [ADDRESS:]PORT CERT KEY [URL]
 *
 * What is published is sent on to URL, if there is one: rtmps://live.example.com/app/[stream], say.
 * Its engine could as well be one that is built without TLS. Link with -lssl -lcrypto. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <camrill.h>

#define FORWARD "vhost/__defaultVhost__/forward/"

/* What connections share. */
struct user {
    SSL_CTX *context;
    BIO_METHOD *method;
};

struct connection {
    SSL *ssl;
    camrill_io_t *io;
    int ended, failed;
};

/* The socket as OpenSSL sees it. */
static int bio_write(BIO *bio, const char *data, int size)
{
    struct connection *c = BIO_get_data(bio);
    int32_t n = camrill_io_send(c->io, data, (size_t)size);
    BIO_clear_retry_flags(bio);
    if (n == CAMRILL_EAGAIN)
        BIO_set_retry_write(bio);
    return n < 0 ? -1 : n;
}

static int bio_read(BIO *bio, char *buffer, int size)
{
    struct connection *c = BIO_get_data(bio);
    int32_t n = camrill_io_recv(c->io, buffer, (size_t)size);
    BIO_clear_retry_flags(bio);
    if (n == CAMRILL_EAGAIN)
        BIO_set_retry_read(bio);
    c->ended |= n == 0;
    return n < 0 ? -1 : n;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    struct connection *c = BIO_get_data(bio);
    (void)number, (void)pointer;
    return command == BIO_CTRL_EOF ? c->ended : command == BIO_CTRL_FLUSH;
}

static void tls_close(void *connection)
{
    struct connection *c = connection;
    if (c->ssl != NULL && !c->failed)
        SSL_shutdown(c->ssl);
    SSL_free(c->ssl);
    free(c);
}

/* The name or address that the server's certificate has to bear. */
static int expect(SSL *ssl, const char *host)
{
    SSL_set_connect_state(ssl);
    SSL_set_verify(ssl, SSL_VERIFY_PEER, NULL);
    if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host))
        return 1;
    return SSL_set_tlsext_host_name(ssl, host) && SSL_set1_host(ssl, host);
}

static void *tls_open(void *user, camrill_io_t *io, const char *host)
{
    struct user *u = user;
    struct connection *c = calloc(1, sizeof *c);
    BIO *bio = BIO_new(u->method);
    if (c == NULL || bio == NULL || (c->ssl = SSL_new(u->context)) == NULL) {
        BIO_free(bio);
        free(c);
        return NULL;
    }
    c->io = io;
    BIO_set_data(bio, c);
    BIO_set_init(bio, 1);
    SSL_set_bio(c->ssl, bio, bio);
    if (host == NULL) {
        SSL_set_accept_state(c->ssl);
    } else if (!expect(c->ssl, host)) {
        c->failed = 1;
        tls_close(c);
        return NULL;
    }
    ERR_clear_error();
    return c;
}

static int32_t answer(struct connection *c, int result)
{
    switch (SSL_get_error(c->ssl, result)) {
    case SSL_ERROR_NONE: return result;
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE: return CAMRILL_EAGAIN;
    case SSL_ERROR_ZERO_RETURN: return 0;
    default: c->failed = 1; return CAMRILL_EPROTOCOL;
    }
}

static int32_t tls_handshake(void *connection)
{
    struct connection *c = connection;
    int32_t n;
    ERR_clear_error();
    n = answer(c, SSL_do_handshake(c->ssl));
    return n == 1 ? 0 : n == 0 ? CAMRILL_EPROTOCOL : n;
}

static int32_t tls_read(void *connection, void *buffer, size_t size)
{
    struct connection *c = connection;
    ERR_clear_error();
    return answer(c, SSL_read(c->ssl, buffer, (int)size));
}

static int32_t tls_write(void *connection, const void *data, size_t size)
{
    struct connection *c = connection;
    ERR_clear_error();
    return answer(c, SSL_write(c->ssl, data, (int)size));
}

static size_t tls_error(void *connection, char *buffer, size_t size)
{
    struct connection *c = connection;
    long verified = SSL_get_verify_result(c->ssl);
    const char *text = verified != X509_V_OK ? X509_verify_cert_error_string(verified)
                                             : ERR_reason_error_string(ERR_peek_error());
    snprintf(buffer, size, "%s", text != NULL ? text : "the connection is lost");
    return strlen(buffer);
}

static void user_free(void *user)
{
    struct user *u = user;
    SSL_CTX_free(u->context);
    BIO_meth_free(u->method);
    free(u);
}

static struct user *user_new(const char *cert, const char *key)
{
    struct user *u = calloc(1, sizeof *u);
    if (u == NULL)
        return NULL;
    u->context = SSL_CTX_new(TLS_method());
    u->method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "camrill");
    if (u->context != NULL && u->method != NULL) {
        BIO_meth_set_write(u->method, bio_write);
        BIO_meth_set_read(u->method, bio_read);
        BIO_meth_set_ctrl(u->method, bio_ctrl);
        SSL_CTX_set_mode(u->context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_RELEASE_BUFFERS);
        /* What is spoken says where it ends: a peer may just close. */
        SSL_CTX_set_options(u->context, SSL_OP_IGNORE_UNEXPECTED_EOF);
        /* They come behind the handshake, where librtmp on GnuTLS takes them for a lost connection. */
        SSL_CTX_set_num_tickets(u->context, 0);
        if (SSL_CTX_set_default_verify_paths(u->context) == 1 &&
            SSL_CTX_use_certificate_chain_file(u->context, cert) == 1 &&
            SSL_CTX_use_PrivateKey_file(u->context, key, SSL_FILETYPE_PEM) == 1)
            return u;
    }
    ERR_print_errors_fp(stderr);
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
        fprintf(stderr, "usage: transport-openssl [ADDRESS:]PORT CERT KEY [URL]\n");
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
