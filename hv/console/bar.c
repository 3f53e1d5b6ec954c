/*
 * A guest's bar: see bar.h. Called by view.c.
 *
 * It reads what belongs to other CPUs, without asking them: counters and states are words that are
 * written whole, and a reason may be half-written once and is right at the next look.
 */
#include "hv/console/bar.h"
#include "hv/console/screen.h"
#include "hv/host.h"
#include "hv/lib/printf.h"
#include "hv/lib/string.h"

static uint64_t count_exits(const struct partition *p)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < p->vcpus; i++) {
		for (unsigned kind = 0; kind < ARRAY_SIZE(p->vcpu[i]->exits); kind++) {
			sum += __atomic_load_n(&p->vcpu[i]->exits[kind], __ATOMIC_RELAXED);
		}
	}
	return sum;
}

void bar_look(struct bar *b, const struct partition *p, uint64_t now)
{
	uint64_t exits = count_exits(p), ms = (now - b->since) / (host_tsc_hz / 1000);

	b->rate = b->since && ms ? (exits - b->exits) * 1000 / ms : 0;
	b->exits = exits;
	b->since = now;
}

static const char *state_name(const struct partition *p)
{
	if (atomic_load(&p->finished)) {
		return p->failed ? "failed" : "ended";
	}
	if (!atomic_load(&p->generation)) {
		return "starting";
	}
	if (atomic_load(&p->end) != END_NONE) {
		return "stopped";
	}
	for (unsigned i = 0; i < p->vcpus; i++) {
		if (__atomic_load_n(&p->vcpu[i]->state, __ATOMIC_RELAXED) == VCPU_RUNNING) {
			return "running";
		}
	}
	return "halted";
}

static void add(char text[BAR_TEXT], const char *fmt, ...) PRINTF_LIKE(2, 3);
static void add(char text[BAR_TEXT], const char *fmt, ...)
{
	size_t len = strlen(text);
	va_list ap;

	va_start(ap, fmt);
	fmt_vprint(text + len, BAR_TEXT - len, fmt, ap);
	va_end(ap);
}

/* As the configuration writes them: 0-1,5. */
static void add_cpus(char text[BAR_TEXT], const struct config_guest *g)
{
	add(text, g->cpus == 1 ? "  CPU " : "  CPUs ");
	for (unsigned i = 0; i < g->cpus; i++) {
		unsigned first = i;

		while (i + 1 < g->cpus && g->cpu[i + 1] == g->cpu[i] + 1) {
			i++;
		}
		add(text, first == i ? "%s%u" : "%s%u-%u", first ? "," : "", g->cpu[first],
		    g->cpu[i]);
	}
}

void bar_text(char text[BAR_TEXT], const struct bar *b, const struct partition *p, bool input)
{
	text[0] = 0;
	add(text, "%u%c%s  %s", p->index + 1, input ? '>' : ' ', p->config->name, state_name(p));
	add_cpus(text, p->config);
	add(text, "  %lu exits/s", b->rate);
	if (p->restarts) {
		add(text, "  restarts: %u", p->restarts);
	}
	if (atomic_load(&p->end) != END_NONE || p->restarts) {
		add(text, "  last stop: %.*s", (int)sizeof(p->end_reason) - 1, p->end_reason);
	}
}

uint8_t bar_attr(const struct partition *p, bool input)
{
	if (atomic_load(&p->finished)) {
		return p->failed ? SCREEN_ATTR(SCREEN_WHITE, SCREEN_RED)
				 : SCREEN_ATTR(SCREEN_BLACK, SCREEN_GREEN);
	}
	return input ? SCREEN_ATTR(SCREEN_WHITE, SCREEN_BLUE)
		     : SCREEN_ATTR(SCREEN_BLACK, SCREEN_GREY);
}
