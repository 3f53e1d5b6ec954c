/*
 * log.h on the test host: lines go to a buffer that tests read.
 */
#include "hv/console/log_ring.h"
#include "hv/console/view.h"
#include "hv/lib/printf.h"
#include "hv/log.h"
#include "tests/fake/fake_host.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char fake_log[65536];
const char *fake_log_at_defer;
static struct log_ring ring;

void fake_log_reset(void)
{
	fake_log[0] = 0;
	ring.end = ring.printed = 0;
	fake_log_at_defer = NULL;
}

void log_line(const char *fmt, ...)
{
	size_t len = strlen(fake_log);
	va_list ap;

	va_start(ap, fmt);
	fmt_vprint(fake_log + len, sizeof(fake_log) - len - 1, fmt, ap);
	va_end(ap);
	strcat(fake_log, "\n");
}

void log_text(const char *text)
{
	size_t len = strlen(fake_log);

	fmt_print(fake_log + len, sizeof(fake_log) - len, "%s", text);
}

void log_defer(bool on)
{
	if (on && fake_log_at_defer) {
		fake_log_keep(fake_log_at_defer);
		view_log();
	}
}

const struct log_ring *log_ring(void)
{
	return &ring;
}

void fake_log_keep(const char *text)
{
	for (; *text; text++) {
		ring.text[ring.end++ % LOG_RING] = *text;
	}
	ring.printed = ring.end;
}

static const char *offered = "";

void fake_log_offer(const char *text)
{
	offered = text;
}

unsigned log_take(char *buf, unsigned n)
{
	unsigned got = 0;

	while (got < n && *offered) {
		buf[got++] = *offered++;
	}
	return got;
}

void bug(const char *file, int line, const char *what)
{
	printf("bug: %s:%d: %s\n", file, line, what);
	abort();
}
