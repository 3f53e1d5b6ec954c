/*
 * The word `console=` on the command line: see console.h. Pure, called at boot.
 */
#include "boot/console.h"
#include "hv/config.h"
#include "hv/lib/bytes.h"
#include "hv/lib/printf.h"
#include "hv/lib/string.h"

static size_t word_len(const char *s, const char *ends)
{
	size_t n = 0;

	while (s[n] && !strchr(ends, s[n])) {
		n++;
	}
	return n;
}

/* 0: not a port. */
static uint16_t port_of(const char *s, size_t n)
{
	unsigned v = 0;

	if (n == 4 && !strncmp(s, "com", 3) && s[3] >= '1' && s[3] <= '4') {
		return config_serial_port(SERIAL_COM1 + (s[3] - '1'));
	}
	if (n < 3 || n > 6 || strncmp(s, "0x", 2) != 0) {
		return 0;
	}
	for (size_t i = 2; i < n; i++) {
		int digit = hex_digit(s[i]);

		if (digit < 0) {
			return 0;
		}
		v = v * 16 + (unsigned)digit;
	}
	return v <= 0xffff - 7 ? (uint16_t)v : 0;
}

static bool listed(const struct console_list *c, uint16_t port)
{
	for (unsigned i = 0; i < c->ports; i++) {
		if (c->port[i] == port) {
			return true;
		}
	}
	return false;
}

static bool parse_list(struct console_list *c, const char *s, size_t len, char bad[32])
{
	const char *end = s + len;

	c->ports = 0;
	c->screen = false;
	bad[0] = 0;
	if (!len) {
		return false; /* nowhere is called "none" */
	}
	while (s < end) {
		size_t n = word_len(s, ", \t");
		uint16_t port = port_of(s, n);

		if (port && listed(c, port)) {
			; /* once is enough: each would write every line */
		} else if (port && c->ports < CONSOLES) {
			c->port[c->ports++] = port;
		} else if (n == 11 && !strncmp(s, "framebuffer", 11)) {
			c->screen = true;
		} else if (n != 4 || strncmp(s, "none", 4) != 0) {
			fmt_print(bad, 32, "%.*s", (int)n, s);
			return false;
		}
		s += n + 1;
	}
	return true;
}

bool console_parse(struct console_list *c, const char *cmdline, char bad[32])
{
	static const char key[] = "console=";
	static const struct console_list fallback = {.port = {0x3f8}, .ports = 1, .screen = true};
	size_t n;

	*c = fallback;
	for (const char *s = cmdline; *s; s += n + (s[n] != 0)) {
		n = word_len(s, " \t");
		if (n >= sizeof(key) - 1 && !strncmp(s, key, sizeof(key) - 1) &&
		    !parse_list(c, s + sizeof(key) - 1, n - (sizeof(key) - 1), bad)) {
			*c = fallback;
			return false;
		}
	}
	return true;
}
