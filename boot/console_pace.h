/*
 * How long consoles wait for a serial port that takes nothing, as one does whose LSR never says
 * that it is ready. Pure; called by boot/console.c, which owns the state.
 */
#pragma once

#include "hv/types.h"

struct pace {
	uint64_t since; /* host TSC at which it was first found not ready; 0: it takes bytes */
	bool stuck;	/* nobody waits for it, until it is ready again */
};

enum pace_answer {
	PACE_WRITE, /* it takes bytes */
	PACE_WAIT,  /* nobody gets any before it does */
	PACE_SKIP,  /* the others get them without it */
};

/* ready: what the port says now; patience: ticks of the TSC before it is waited for no more. */
enum pace_answer pace_ask(struct pace *p, bool ready, uint64_t now, uint64_t patience);
/* It was waited for, in vain. */
void pace_give_up(struct pace *p, uint64_t now);
