/* The programs that the configuration asks for, such as FFmpeg, kept running. */
#ifndef PROGRAMS_H
#define PROGRAMS_H

#include <stdint.h>

#include <camrill.h>

struct program;

struct programs {
    struct program *first;
};

/* Takes over what the configuration asks for, after each camrill_config_apply(): programs_turn() starts what is new,
 * and what is no longer asked for is told to end. */
void programs_update(struct programs *programs, camrill_engine_t *engine);

/* Does what is due; `ended` after a SIGCHLD. Answers in how many ms there is more to do, -1 for nothing. */
int32_t programs_turn(struct programs *programs, int ended);

/* Asks all of them to end. They have ended when programs_turn() has left none. */
void programs_stop(struct programs *programs);

#endif
