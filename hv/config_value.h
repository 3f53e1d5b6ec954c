/*
 * A value that is being read, and what its readers share. Included by config_value.c,
 * config_number.c and config_string.c; config_parse.c makes the struct.
 */
#pragma once

#include "hv/config_table.h"

/* at..end is what is left, without blanks at its ends or a comment. Readers move `at`. */
struct config_value {
	const char *at, *end;
	const char *line; /* the line's first byte */
	uint32_t number;  /* the line's number, 0: a default from the table */
	const struct config_key *key;
	const struct config *config;
	struct refusal *why;
};

/* Reads a value into its field of the section's struct. */
bool config_value_read(struct config_value *v, void *section);

struct config_place config_value_place(const struct config_value *v, const char *at);

#define VALUE_REFUSE(v, where, ...)                                                                \
	config_refuse((v)->why, (v)->config, config_value_place(v, where), __VA_ARGS__)

/* The bytes of the word at `at` that a message shows: not too many, and no half UTF-8 character. */
int config_value_shown(const struct config_value *v, const char *at);

/* Refuses the word at `at` with how the key's type is written. */
bool config_value_malformed(struct config_value *v, const char *at);

/* The next free place of a list; refuses at `at` when there is none. */
bool config_value_room(struct config_value *v, const char *at, unsigned *count, unsigned *index);

/* The readers, by type: each takes one value, or one element of a list. */
bool config_read_word(struct config_value *v, unsigned *out);
bool config_read_yes(struct config_value *v, bool *out);
bool config_read_size(struct config_value *v, uint64_t *out);
bool config_read_address(struct config_value *v, uint64_t *out);
bool config_read_port(struct config_value *v, uint16_t *out);
bool config_read_cpus(struct config_value *v, uint16_t *cpu, unsigned *count);
bool config_read_range(struct config_value *v, struct config_range *range, unsigned *count);
bool config_read_pci(struct config_value *v, struct config_pci *pci, unsigned *count);
bool config_read_console(struct config_value *v, struct config_console *c);
bool config_read_string(struct config_value *v, char out[MAX_CMDLINE]);
bool config_read_file(struct config_value *v, struct config_file *f);
bool config_read_module(struct config_value *v, struct config_file *f, unsigned *count);

static inline bool config_is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static inline void config_value_skip_blanks(struct config_value *v)
{
	while (v->at < v->end && config_is_blank(*v->at)) {
		v->at++;
	}
}

static inline bool config_value_next_is(const struct config_value *v, char c)
{
	return v->at < v->end && *v->at == c;
}
