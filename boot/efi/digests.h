/*
 * The digests that a loader may carry in its section .digests, put there before it was signed: the
 * output of sha256sum for every file that it may read. Pure.
 */
#pragma once

#include "hv/refuse.h"

struct digests {
	const char *text; /* NULL: the loader has none */
	size_t size;
};

/* Finds the section in the loader's own image in memory (PE format, "Section table"). */
bool digests_find(struct digests *d, const void *image, uint64_t size);

/* Is this the file that the digests name so? Refuses an unnamed one, too. */
bool digests_check(const struct digests *d, const char *name, const void *data, uint64_t size,
		   struct refusal *r);
