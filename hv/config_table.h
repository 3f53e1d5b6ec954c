/*
 * The table of sections and keys, and what the files of the configuration share with each other.
 * Included by hv/config*.c only.
 */
#pragma once

#include "hv/config.h"

/* What a value may be. Each type's field in the section's struct is in brackets. */
enum config_type {
	TYPE_WORD,    /* one of key->words [enum, the word's index] */
	TYPE_YES,     /* the same [bool] */
	TYPE_SIZE,    /* bytes, in pages [uint64_t] */
	TYPE_ADDRESS, /* [uint64_t] */
	TYPE_PORT,    /* [uint16_t] */
	TYPE_STRING,  /* [char[MAX_CMDLINE]] */
	TYPE_FILE,    /* [struct config_file] */
	TYPE_MODULE,  /* [struct config_file[]] */
	TYPE_CPUS,    /* [uint16_t[]] */
	TYPE_PORTS,   /* [struct config_range[]] */
	TYPE_MMIO,    /* [struct config_range[]] */
	TYPE_PCI,     /* [struct config_pci[]] */
	TYPE_CONSOLE, /* [struct config_console] */
	CONFIG_TYPES,
};

struct config_type_text {
	const char *what; /* "a size" */
	const char *how;  /* how to write one, with an example; NULL: the key's words */
};
extern const struct config_type_text config_type_text[CONFIG_TYPES];

struct config_key {
	const char *name;
	enum config_type type;
	bool required;
	bool multiple;		  /* may be written several times; the values add up */
	uint64_t min, max;	  /* of a number */
	unsigned room;		  /* of a list: how many values fit */
	const char *const *words; /* the choices, by value of the enum, then NULL */
	const char *fallback;	  /* what stands for a key that is not written; NULL: nothing */
	const char *with;	  /* this key needs that one */
	const char *help;
	/* Where things go, in bytes from the start of the section's struct; 0: nowhere. */
	size_t field, count; /* the value; of a list its unsigned number of values */
	size_t place;	     /* struct config_place of the value */
	size_t given;	     /* bool, true when the key is written */
};

struct config_section {
	const char *name;
	bool named; /* [guest NAME], several; else one */
	const struct config_key *key;
	unsigned keys;
	const char *help;
};

enum {
	CONFIG_LINE = 8192, /* most bytes of a line; a command line with each byte escaped fits */
};

enum { SECTION_SYSTEM, SECTION_BOOT, SECTION_GUEST, CONFIG_SECTIONS };
enum { CONFIG_KEYS = 24 /* most keys of a section */ };
extern const struct config_section config_section[CONFIG_SECTIONS];

/* "file:line:col: error: ..." */
bool config_refuse(struct refusal *r, const struct config *c, struct config_place at,
		   const char *fmt, ...) PRINTF_LIKE(4, 5);

/* All checks between keys and between guests that need no machine. */
bool config_check(const struct config *c, struct refusal *r);

/* How a value of the key is written, with an example or all choices. */
struct config_how {
	char text[64];
};
const char *config_key_how(struct config_how *h, const struct config_key *k);

/* A size in the largest unit that keeps it exact: "512M". Returns s. */
struct config_size {
	char text[24];
};
const char *config_size_text(struct config_size *s, uint64_t bytes);

static inline void *config_field(const void *section, size_t offset)
{
	return (char *)(uintptr_t)section + offset;
}
