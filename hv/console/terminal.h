/*
 * The terminal: pure text logic of the multiplexer (views, prefixes, unfinished lines).
 *
 * console.c feeds it; it fills an output ring that console.c empties to the hardware. A host test
 * replays bytes and compares what a person would see.
 */
#pragma once

#include "hv/console/filter.h"
#include "hv/limits.h"
#include "hv/types.h"

enum {
	TERMINAL_OUT = 16384,	 /* output ring, power of two */
	TERMINAL_LINE = 256,	 /* an unfinished line that can be shown again */
	TERMINAL_HISTORY = 4096, /* of each source, shown when it gets the terminal; power of two */
	TERMINAL_TAIL = 512,	 /* of the log, where that has to do */
	TERMINAL_LOG = MAX_GUESTS, /* the source number of the log; guests are 0.. */
	TERMINAL_SOURCES = MAX_GUESTS + 1,
	TERMINAL_MIXED = -1,
	/* terminal_feed may write this much for one byte; room is asked for before. */
	TERMINAL_WORST = 3 * (TERMINAL_LINE + MAX_NAME + 8) + FILTER_MOST,
};

struct terminal_source {
	char prefix[MAX_NAME + 4];
	char line[TERMINAL_LINE]; /* the unfinished line */
	unsigned len, shown;	  /* bytes in it, bytes of it on the terminal */
	unsigned column;	  /* where its cursor is at least */
	unsigned width;		  /* the rightmost of these */
	bool coloured;		  /* by its last sequence that says so */
	struct filter filter;
	uint8_t history[TERMINAL_HISTORY];
	uint64_t history_end;
};

struct terminal {
	struct terminal_source source[TERMINAL_SOURCES];
	int focus;   /* a source (the log, too), or TERMINAL_MIXED */
	int open;    /* whose unfinished line is on the terminal, -1: none */
	bool escape; /* Ctrl-a was typed */
	int input;   /* the guest that gets what is typed, -1: none */
	uint8_t out[TERMINAL_OUT];
	uint32_t head, tail; /* free-running */
};

void terminal_init(struct terminal *t);
/* Names a source; its lines are prefixed with "name| ", the log's lines bring their own. */
void terminal_name(struct terminal *t, unsigned source, const char *name);

/* Bytes that a source sent before: they are history only. */
void terminal_remember(struct terminal *t, unsigned source, const uint8_t *bytes, unsigned n);

/* Bytes that terminal_feed may take now without losing any. */
unsigned terminal_room(const struct terminal *t);
/* Bytes that a source sent; n is at most terminal_room(). */
void terminal_feed(struct terminal *t, unsigned source, const uint8_t *bytes, unsigned n);
/* Is an unfinished line not shown, that could be? Then, when its source has paused, reveal it. */
bool terminal_hides(const struct terminal *t);
void terminal_reveal(struct terminal *t);

/* Back to the log and all guests, behind what is on its way out. Only when there is room. */
void terminal_show_all(struct terminal *t);

enum terminal_key {
	KEY_NONE,
	KEY_INPUT, /* the byte is for t->input */
	KEY_LOG,   /* typed while the log has the terminal */
	KEY_END
};
/* One typed byte, the switch keys included. */
enum terminal_key terminal_type(struct terminal *t, uint8_t byte);
