/*
 * A configuration for a machine: see skeleton.h. Called once by the hardware report. No state.
 *
 * Two guests, each with whole cores, where there are two cores and memory for two; else one.
 */
#include "hv/skeleton.h"
#include "hv/config_table.h"
#include "hv/lib/printf.h"
#include "hv/lib/string.h"
#include "hv/pci_text.h"

enum { GUESTS = 2 };

/* Zeroing takes a second for some GiB, and Mullion and the guests' files need memory too. */
#define MEMORY_MOST  GIB(4)
#define MEMORY_TWO   MIB(128) /* that each of two guests must have */
#define MEMORY_STEP  PAGE_2M
#define MEMORY_OTHER MIB(48)

struct writer {
	void (*put)(void *ctx, const char *text);
	void *ctx;
};

static void line(const struct writer *w, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void line(const struct writer *w, const char *fmt, ...)
{
	char text[512];
	size_t len;
	va_list ap;

	va_start(ap, fmt);
	len = fmt_vprint(text, sizeof(text) - 1, fmt, ap);
	va_end(ap);
	len = len < sizeof(text) - 2 ? len : sizeof(text) - 2;
	memcpy(text + len, "\n", 2);
	w->put(w->ctx, text);
}

struct share {
	uint16_t cpu[MAX_VCPUS]; /* in order */
	unsigned cpus;
};

static bool usable(const struct skeleton_machine *m, unsigned cpu)
{
	return !m->cpu[cpu].unusable.text[0];
}

enum { NO_CORE = 0xffff };

/*
 * Numbers the cores that have a usable CPU from 0, in the order of their first CPUs: core[i] is
 * that of CPU i. Returns how many there are.
 */
static unsigned number_cores(const struct skeleton_machine *m, uint16_t core[MAX_CPUS])
{
	unsigned cores = 0;

	for (unsigned i = 0; i < m->cpus; i++) {
		core[i] = usable(m, i) ? (uint16_t)cores : NO_CORE;
		for (unsigned j = 0; core[i] == cores && j < i; j++) {
			if (core[j] != NO_CORE &&
			    cpu_facts_core(&m->cpu[j]) == cpu_facts_core(&m->cpu[i])) {
				core[i] = core[j];
			}
		}
		cores += core[i] == cores;
	}
	return cores;
}

/* Threads of one core always go to one guest. */
static void share_out(const struct skeleton_machine *m, const uint16_t core[MAX_CPUS],
		      unsigned cores, struct share share[GUESTS], unsigned guests)
{
	for (unsigned i = 0; i < m->cpus; i++) {
		struct share *s = core[i] == NO_CORE ? NULL : &share[core[i] * guests / cores];

		if (s && s->cpus < MAX_VCPUS) {
			s->cpu[s->cpus++] = (uint16_t)i;
		}
	}
}

static uint64_t memory_each(const struct skeleton_machine *m, unsigned guests)
{
	uint64_t other = m->memory / 8 > MEMORY_OTHER ? m->memory / 8 : MEMORY_OTHER;
	uint64_t each = m->memory > other ? (m->memory - other) / guests : 0;

	each = each < MEMORY_MOST ? ALIGN_DOWN(each, MEMORY_STEP) : MEMORY_MOST;
	return each < MEMORY_STEP ? MEMORY_STEP : each;
}

static void write_head(const struct writer *w, const struct skeleton_machine *m, unsigned cores)
{
	line(w, "# mullion.conf for this machine: %u CPU%s, %u core%s for guests, %lu MiB free.",
	     m->cpus, m->cpus == 1 ? "" : "s", cores, cores == 1 ? "" : "s", m->memory >> 20);
	line(w, "# Put the name of your kernel for " SKELETON_KERNEL
		", and take what you do not need out.");
	line(w, "[system]");
	if (m->console) {
		line(w, "console = %s", m->console);
	}
	if (m->trust_tsc) {
		line(w, "tsc = trust  # the TSCs fail the check: guests may see time jump");
	}
}

static void write_guest(const struct writer *w, const char *name, const struct share *s,
			uint64_t memory)
{
	char cpus[MAX_VCPUS * 4 + 1] = "";
	struct config_size size;

	config_cpus_append(cpus, sizeof(cpus), s->cpu, s->cpus);
	line(w, "%s", "");
	line(w, "[guest %s]", name);
	line(w, "cpus = %s", cpus);
	line(w, "memory = %s", config_size_text(&size, memory));
	line(w, "kernel = " SKELETON_KERNEL);
	line(w, "# initrd = initrd.img");
	line(w, "cmdline = \"console=ttyS0\"");
	line(w, "serial = com1");
}

static void write_devices(const struct writer *w, const struct skeleton_machine *m)
{
	struct pci_line text;

	line(w, "%s", "");
	line(w, "# PCI devices. A line in a guest's section gives the guest the device.");
	if (!m->iommu) {
		line(w, "# No IOMMU is on: see `dma =` in docs/config.md first.");
	}
	for (unsigned i = 0; i < m->functions; i++) {
		if (pci_is_device(&m->function[i])) {
			line(w, "# %s", pci_line(&text, &m->function[i]));
		}
	}
}

void skeleton_write(const struct skeleton_machine *m, void (*put)(void *ctx, const char *text),
		    void *ctx)
{
	static const char *const name[GUESTS] = {"first", "second"};
	const struct writer w = {put, ctx};
	struct share share[GUESTS] = {{.cpus = 0}};
	uint16_t core[MAX_CPUS];
	unsigned cores = number_cores(m, core);
	unsigned guests = cores > 1 && memory_each(m, GUESTS) >= MEMORY_TWO ? GUESTS : 1;

	share_out(m, core, cores, share, guests);
	write_head(&w, m, cores);
	for (unsigned i = 0; i < guests && share[i].cpus; i++) {
		write_guest(&w, name[i], &share[i], memory_each(m, guests));
	}
	write_devices(&w, m);
	line(&w, "# end of mullion.conf");
}
