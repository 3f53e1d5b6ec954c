/*
 * The loader's own command line: the load options of its boot entry, or what was typed in the
 * firmware's shell. Pure.
 *
 * `config=NAME` chooses the configuration; every other word goes to the hypervisor.
 */
#pragma once

#include "hv/limits.h"
#include "hv/refuse.h"

struct options {
	char config[MAX_FILE];	   /* empty: not given */
	char cmdline[MAX_CMDLINE]; /* the other words, with one blank between */
	bool noise;		   /* there was something, but no text */
};

/*
 * size bytes of UCS-2, or of ASCII, as efibootmgr writes it without --unicode; some firmware hands
 * over its whole variable Boot#### instead, of which this is the last part. Boot entries of
 * firmware's own making may carry other bytes there: what is not plain text is taken as nothing. A
 * first word that ends in .efi is the loader's own name.
 */
bool options_parse(struct options *o, const void *text, size_t size, struct refusal *r);

/*
 * Keeps the words that loosen nothing, `safe` and `report`; true: others were there. For a loader
 * whose files are fixed: nobody signed its boot entry.
 */
bool options_keep_harmless(struct options *o);
