/*
 * The log that outlives a reset: its lines as records in RAM that firmware and loader leave alone.
 *
 * A record stands on its own: a check over its text, its number and its boot keeps rubble, records
 * of an older boot and half-written ones from being believed. Pure: boot/warm.c finds the memory
 * and sees to it that lines reach it through the caches.
 */
#pragma once

#include "hv/types.h"

enum {
	WARM_BYTES = 32768,
	WARM_RECORD = 128,
	WARM_RECORDS = WARM_BYTES / WARM_RECORD - 1, /* one is the header */
	WARM_LINE = 400,			     /* as log lines are bounded */
};

/* How far the boot came that wrote it. */
enum warm_state {
	WARM_BOOTS, /* no guest has run */
	WARM_RUNS,
	WARM_ENDED, /* in order, as the configuration wanted it */
};

struct warm_header {
	uint64_t magic;
	uint32_t version, check;
	uint64_t boot;	/* counts up; the highest is the latest */
	uint32_t state; /* enum warm_state */
	uint32_t stage; /* as on port 0x80 */
	uint8_t unused[WARM_RECORD - 32];
};
_Static_assert(sizeof(struct warm_header) == WARM_RECORD, "found again by another version");

struct warm_record {
	uint32_t check;
	uint32_t number; /* record n stands at n % WARM_RECORDS */
	uint8_t length;
	uint8_t more; /* 1: the line goes on in the next record */
	char text[WARM_RECORD - 10];
};
_Static_assert(sizeof(struct warm_record) == WARM_RECORD, "found again by another version");

struct warm_area {
	struct warm_header header;
	struct warm_record record[WARM_RECORDS];
};
_Static_assert(sizeof(struct warm_area) == WARM_BYTES, "a whole number of pages");

/* --- writing --- */

void warm_begin(struct warm_area *a, uint64_t boot);
void warm_set_stage(struct warm_area *a, enum warm_state state, uint32_t stage);
/*
 * Appends a line as records `number`, number + 1, ...; returns how many. Bytes that do not print
 * become question marks.
 */
uint32_t warm_put(struct warm_area *a, uint32_t number, const char *text, size_t n);

/* --- reading what may be anything --- */

/* The header is sound: boot, state and stage may be believed. */
bool warm_sound(const struct warm_area *a);

struct warm_reader {
	const struct warm_area *area;
	uint32_t next, end; /* record numbers */
};

/* Before the oldest line that is still there; returns how many records are. */
uint32_t warm_open(struct warm_reader *r, const struct warm_area *a);
/* The next line, without its newline; false: that was the last one. */
bool warm_next(struct warm_reader *r, char line[WARM_LINE]);
/* Skips lines until at most `lines` are left. */
void warm_keep_last(struct warm_reader *r, unsigned lines);
