/*
 * Serial ports that take nothing: see console_pace.h. Pure; called by boot/console.c. No state.
 */
#include "boot/console_pace.h"

enum pace_answer pace_ask(struct pace *p, bool ready, uint64_t now, uint64_t patience)
{
	if (ready) {
		*p = (struct pace){0};
		return PACE_WRITE;
	}
	if (!p->since) {
		p->since = now;
	}
	p->stuck = p->stuck || now - p->since >= patience;
	return p->stuck ? PACE_SKIP : PACE_WAIT;
}

void pace_give_up(struct pace *p, uint64_t now)
{
	*p = (struct pace){.since = now, .stuck = true};
}
