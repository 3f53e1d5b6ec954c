/*
 * The hypervisor's log: see log.h. Lines go to a ring, which keeps the last 64 KiB, and at once to
 * every console, or later through the console CPU. Any CPU; the ring belongs to this file.
 *
 * One lock keeps lines whole. It is given up on after a bound, because a line of a CPU that stops
 * must come out even when the holder never moves again; and it is not taken twice by one CPU,
 * because an NMI may want to log in the middle of a line.
 */
#include "hv/log.h"
#include "hv/console/console.h"
#include "hv/console/log_ring.h"
#include "hv/host.h"
#include "hv/lib/printf.h"
#include "hv/lib/string.h"
#include <stdatomic.h>

enum { LINE = 400, PATIENCE = 20000000, CHUNK = 256 };
#define NOBODY (~0u)

static const char prefix[] = "mullion: ";
static _Atomic unsigned holder = NOBODY;
static _Atomic bool deferred;
static struct log_ring ring;

/* True: this call took the lock and must drop it. */
static bool enter(void)
{
	unsigned me = host_cpu();

	for (unsigned i = 0; i < PATIENCE; i++) {
		unsigned seen = NOBODY;

		if (atomic_compare_exchange_weak_explicit(&holder, &seen, me, memory_order_acquire,
							  memory_order_relaxed)) {
			return true;
		}
		if (seen == me) {
			return false;
		}
		host_relax();
	}
	return false;
}

static void leave(bool mine)
{
	if (mine) {
		atomic_store_explicit(&holder, NOBODY, memory_order_release);
	}
}

static unsigned take(char *buf, unsigned n)
{
	unsigned got = 0;

	if (ring.end - ring.printed > LOG_RING) {
		ring.printed = ring.end - LOG_RING;
	}
	while (got < n && ring.printed < ring.end) {
		buf[got++] = ring.text[ring.printed++ % LOG_RING];
	}
	return got;
}

static void print_rest(void)
{
	char buf[CHUNK];
	unsigned n;

	while ((n = take(buf, sizeof(buf))) > 0) {
		host_console_write(buf, n);
	}
}

/* keep: what of the text the next boot shows after a reset; NULL: none of it. */
static void emit(const char *text, size_t len, const char *keep)
{
	bool mine = enter();

	if (keep) {
		host_log_keep(keep, (size_t)(text + len - 1 - keep)); /* without the newline */
	}
	for (size_t i = 0; i < len; i++) {
		ring.text[ring.end++ % LOG_RING] = text[i];
	}
	if (!atomic_load_explicit(&deferred, memory_order_relaxed)) {
		print_rest();
	}
	leave(mine);
	if (atomic_load_explicit(&deferred, memory_order_relaxed)) {
		console_wake();
	}
}

void log_line(const char *fmt, ...)
{
	char text[LINE];
	size_t len = sizeof(prefix) - 1;
	va_list ap;

	memcpy(text, prefix, len);
	va_start(ap, fmt);
	len += fmt_vprint(text + len, sizeof(text) - len - 1, fmt, ap);
	va_end(ap);
	if (len > sizeof(text) - 2) {
		len = sizeof(text) - 2;
	}
	text[len++] = '\n';
	emit(text, len, text + sizeof(prefix) - 1);
}

void log_text(const char *text)
{
	emit(text, strlen(text), NULL);
}

void log_defer(bool on)
{
	bool mine = enter();

	atomic_store(&deferred, on);
	if (!on) {
		print_rest();
	}
	leave(mine);
}

unsigned log_take(char *buf, unsigned n)
{
	bool mine = enter();
	unsigned got = take(buf, n);

	leave(mine);
	return got;
}

const struct log_ring *log_ring(void)
{
	return &ring;
}

void bug(const char *file, int line, const char *what)
{
	log_defer(false);
	log_line("stopped: %s:%d: %s (CPU %u); this is a defect of Mullion", file, line, what,
		 host_cpu());
	host_stop();
}
