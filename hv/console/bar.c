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

void bar_text(char text[BAR_TEXT], const struct bar *b, const struct partition *p, bool input)
{
	fmt_print(text, BAR_TEXT, "%u%c%s  %s", p->index + 1, input ? '>' : ' ', p->config->name,
		  state_name(p));
	fmt_append(text, BAR_TEXT, p->config->cpus == 1 ? "  CPU " : "  CPUs ");
	config_cpus_append(text, BAR_TEXT, p->config->cpu, p->config->cpus);
	fmt_append(text, BAR_TEXT, "  %lu exits/s", b->rate);
	if (p->restarts) {
		fmt_append(text, BAR_TEXT, "  restarts: %u", p->restarts);
	}
	if (atomic_load(&p->end) != END_NONE || p->restarts) {
		fmt_append(text, BAR_TEXT, "  last stop: %.*s", (int)sizeof(p->end_reason) - 1,
			   p->end_reason);
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
