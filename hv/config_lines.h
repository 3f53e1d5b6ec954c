/*
 * A configuration read line by line. Included by config_lines.c and config_parse.c.
 */
#pragma once

#include "hv/config_value.h"

struct config_lines {
	const struct config *config;
	struct refusal *why;
	const char *text, *text_end; /* what is left */
	uint32_t number;	     /* of the line, from 1 */
	const char *line;	     /* its first byte */
	const char *at, *end; /* what is left of it, without its comment and blanks at its end */
};

/* Takes the next line and goes to its first word. Refuses long lines and what is not text. */
bool config_next_line(struct config_lines *l);

static inline struct config_place config_line_place(const struct config_lines *l, const char *at)
{
	return (struct config_place){l->number, (uint32_t)(at - l->line) + 1};
}

#define LINE_REFUSE(l, where, ...)                                                                 \
	config_refuse((l)->why, (l)->config, config_line_place(l, where), __VA_ARGS__)

static inline void config_skip_blanks(struct config_lines *l)
{
	while (l->at < l->end && config_is_blank(*l->at)) {
		l->at++;
	}
}
