/* A resolver for tests, loaded before the C library's with LD_PRELOAD:
 *
 *   slow.test         127.0.0.1, after 10 s or SLOW_RESOLVER_MS milliseconds
 *   both.test         ::1, then 127.0.0.1
 *   dead-first.test   127.0.0.77, where nobody listens, then 127.0.0.1
 *   NAME.invalid      no such name, at once
 *
 * All other names are the C library's. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

typedef int (*resolve_t)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

static resolve_t c_library(void) {
    resolve_t resolve;
    /* ISO C has no cast from an object's pointer to a function's. */
    *(void **)&resolve = dlsym(RTLD_NEXT, "getaddrinfo");
    return resolve;
}

static void wait_ms(long ms) {
    struct timespec left = {ms / 1000, ms % 1000 * 1000000};
    while (nanosleep(&left, &left) != 0) {
    }
}

/* Appends what there is for a numeric address; one of a family that isn't asked for adds nothing. */
static int append(const char *address, const char *service, const struct addrinfo *hints,
                  struct addrinfo **end) {
    struct addrinfo numeric = {0};
    int error;
    if (hints != NULL) {
        numeric = *hints;
    }
    /* What interfaces this machine has doesn't matter. */
    numeric.ai_flags = (numeric.ai_flags | AI_NUMERICHOST) & ~(AI_ADDRCONFIG | AI_CANONNAME);
    while (*end != NULL) {
        end = &(*end)->ai_next;
    }
    error = c_library()(address, service, &numeric, end);
    return error == EAI_ADDRFAMILY ? 0 : error;
}

static int answer(const char *first, const char *second, const char *service, const struct addrinfo *hints,
                  struct addrinfo **result) {
    struct addrinfo *list = NULL;
    int error = append(first, service, hints, &list);
    if (error == 0 && second != NULL) {
        error = append(second, service, hints, &list);
    }
    if (error == 0 && list == NULL) {
        error = EAI_NONAME;
    }
    if (error != 0) {
        if (list != NULL) {
            freeaddrinfo(list);
        }
        return error;
    }
    *result = list;
    return 0;
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **result) {
    size_t length = node == NULL ? 0 : strlen(node);
    if (node == NULL) {
        return c_library()(node, service, hints, result);
    }
    if (length >= 8 && strcasecmp(node + length - 8, ".invalid") == 0) {
        return EAI_NONAME;
    }
    if (strcasecmp(node, "slow.test") == 0) {
        const char *ms = getenv("SLOW_RESOLVER_MS");
        wait_ms(ms == NULL ? 10000 : atol(ms));
        return answer("127.0.0.1", NULL, service, hints, result);
    }
    if (strcasecmp(node, "both.test") == 0) {
        return answer("::1", "127.0.0.1", service, hints, result);
    }
    if (strcasecmp(node, "dead-first.test") == 0) {
        return answer("127.0.0.77", "127.0.0.1", service, hints, result);
    }
    return c_library()(node, service, hints, result);
}
