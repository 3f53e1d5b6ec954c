/*
 * The hardware report: see report.h. Called by main.c and partitions.c. State: the
 * page that is being filled.
 */
#include "boot/report.h"
#include "arch/x86_64/percpu.h"
#include "boot/console.h"
#include "boot/ram.h"
#include "boot/screen.h"
#include "drivers/lapic.h"
#include "drivers/tsc.h"
#include "hv/cpu_facts.h"
#include "hv/host.h"
#include "hv/iommu.h"
#include "hv/lib/printf.h"
#include "hv/lib/string.h"
#include "hv/log.h"
#include "hv/mtrr.h"
#include "hv/pci.h"
#include "hv/pci_text.h"
#include "hv/skeleton.h"
#include "hv/speculation.h"
#include "hv/virt.h"

/* --- lines, and pages of them --- */

/* What a screen of 25 rows shows besides the last line of the page before. */
enum { PAGE_ROWS = 20, ROW = 80 };

static bool paged;
static unsigned rows;

static void wait_key(void)
{
	host_timer_set(host_console_watch(false));
	while (host_console_get() < 0) {
		host_wait();
		host_timer_set(host_console_watch(false));
	}
}

/* Before a line of so many bytes is shown. */
static void begin_line(size_t len)
{
	unsigned own = 1 + (unsigned)(len / ROW);

	if (paged && rows + own > PAGE_ROWS) {
		rows = 0;
		wait_key();
	}
	rows += own;
}

static void say(const char *fmt, ...) PRINTF_LIKE(1, 2);
static void say(const char *fmt, ...)
{
	char text[360];
	va_list ap;

	va_start(ap, fmt);
	begin_line(fmt_vprint(text, sizeof(text), fmt, ap));
	va_end(ap);
	log_line("%s", text);
}

/* --- CPUs --- */

void report_cpu(void)
{
	uint32_t signature = cpu_facts[0].signature;
	struct speculation speculation;
	struct cpu_name name;

	cpu_facts_name(&name);
	say("CPU: %s, family 0x%x model 0x%x stepping %u, microcode 0x%x", name.text,
	    cpu_facts_family(signature), cpu_facts_model(signature), cpu_facts_stepping(signature),
	    cpu_facts[0].microcode);
	speculation_read(&speculation);
	say("speculation: controls: %s; not known to be immune to: %s",
	    speculation.controls[0] ? speculation.controls : "none",
	    speculation.rest[0] ? speculation.rest : "none");
}

/* One line for all: they differ together or not at all. */
void report_warn(void)
{
	for (unsigned i = 1; i < host_cpu_count(); i++) {
		if (cpu_facts[i].other_mtrrs) {
			log_line("warning: CPU %u has other MTRRs than the boot CPU; ask for "
				 "another firmware",
				 i);
			return;
		}
	}
}

static void report_immune(void)
{
	struct speculation speculation;

	speculation_read(&speculation);
	say("speculation: immune to: %s", speculation.immune[0] ? speculation.immune : "none");
}

static void report_cpus(const struct acpi_info *a)
{
	unsigned cpus = host_cpu_count();
	unsigned packages = cpu_facts_count(cpu_facts, cpus, cpu_facts_package);
	unsigned cores = cpu_facts_count(cpu_facts, cpus, cpu_facts_core);

	say("CPUs: %u in %u package%s, %u core%s; LAPIC in %s mode", cpus, packages,
	    packages == 1 ? "" : "s", cores, cores == 1 ? "" : "s",
	    lapic_x2apic() ? "x2APIC" : "xAPIC");
	for (unsigned i = 0; i < cpus; i++) {
		const struct cpu_facts *f = &cpu_facts[i];

		say("CPU %u: APIC id %u, package %u, core %u, thread %u%s%s%s%s", i,
		    percpu_of[i]->apic_id, cpu_facts_package(f), cpu_facts_core(f),
		    cpu_facts_thread(f),
		    f->signature != cpu_facts[0].signature ? ", another model" : "",
		    f->microcode != cpu_facts[0].microcode ? ", another microcode" : "",
		    f->other_mtrrs ? ", other MTRRs" : "",
		    f->unusable.text[0] ? ", cannot run guests" : "");
	}
	if (a->cpus_ignored) {
		say("CPUs that firmware lists and that are not used: %u", a->cpus_ignored);
	}
}

static void report_feature(const char *name, bool present, bool needed)
{
	say("%s: %s: %s", virt->name, name,
	    present  ? needed ? "there (needed)" : "there"
	    : needed ? "MISSING, and needed"
		     : "missing (not needed)");
}

/* --- memory --- */

static const char *memory_name(uint32_t type)
{
	switch (type) {
	case MEMORY_RAM: return "RAM";
	case MEMORY_ACPI: return "ACPI tables";
	case MEMORY_NVS: return "firmware's, kept over sleep";
	case MEMORY_BAD: return "defective";
	default: return "reserved";
	}
}

static void report_memory(const struct boot_info *b)
{
	for (unsigned i = 0; i < b->memories; i++) {
		const struct boot_memory *m = &b->memory[i];

		say("memory: 0x%012lx-0x%012lx %lu KiB %s", m->base, m->base + m->size - 1,
		    m->size >> 10, memory_name(m->type));
	}
	if (mtrr_boot.on) {
		say("memory: MTRRs: %u ranges, all else of type %u", mtrr_boot.variables,
		    mtrr_boot.type);
	} else {
		say("memory: MTRRs are off, or say nothing that is understood");
	}
	say("memory: %lu MiB free for guests, largest block %lu MiB", ram_free() >> 20,
	    host_alloc_largest(PAGE_2M) >> 20);
}

/* --- the rest of the machine --- */

static void report_pci(void)
{
	struct pci_line line;

	for (unsigned i = 0; i < pci_function_count; i++) {
		say("%s", pci_line(&line, &pci_functions[i]));
	}
}

static void report_iommu(void)
{
	uint64_t base, size;

	if (!iommu) {
		say("IOMMU: none is on; bus masters can only be passed through unsafely");
		return;
	}
	for (unsigned i = 0; iommu->registers(i, &base, &size); i++) {
		say("IOMMU: %s unit %u, registers at 0x%lx", iommu->name, i, base);
	}
	say("IOMMU: interrupts are%s remapped", iommu->remaps_interrupts() ? "" : " not");
}

static void report_tsc(void)
{
	say("TSC: %lu.%03lu MHz, %s, %s", host_tsc_hz / 1000000, host_tsc_hz / 1000 % 1000,
	    tsc_invariant() ? "invariant by CPUID" : "not invariant by CPUID",
	    host_tsc_reliable ? "runs together on all CPUs" : "not reliable");
}

static void report_consoles(const struct boot_info *b)
{
	const struct boot_framebuffer *f = &b->framebuffer;

	for (unsigned i = 0; console_name(i); i++) {
		say("console: serial %s", console_name(i));
	}
	if (f->present && f->type == FRAMEBUFFER_TEXT) {
		say("console: text mode, %u x %u characters, at 0x%lx", f->width, f->height,
		    f->base.v);
	} else if (f->present) {
		say("console: framebuffer of %u x %u pixels, %u bits each, at 0x%lx", f->width,
		    f->height, f->bpp, f->base.v);
	}
	say("console: the screen is%s in use", screen_present() ? "" : " not");
}

/* --- the skeleton --- */

static void put_text(void *ctx, const char *text)
{
	(void)ctx;
	begin_line(strlen(text));
	log_text(text);
}

enum { CONSOLE_VALUE = 64 };

/* "com1, 0x1000"; NULL when the default says the same. */
static const char *console_value(char text[CONSOLE_VALUE])
{
	struct console_list used;

	console_used(&used);
	if (!used.ports || (used.ports == 1 && used.port[0] == config_serial_port(SERIAL_COM1))) {
		return NULL;
	}
	text[0] = 0;
	for (unsigned i = 0; i < used.ports; i++) {
		unsigned n = SERIAL_COM1;

		while (n <= SERIAL_COM4 && config_serial_port(n) != used.port[i]) {
			n++;
		}
		fmt_append(text, CONSOLE_VALUE, n <= SERIAL_COM4 ? "%scom%u" : "%s0x%x",
			   i ? ", " : "", n <= SERIAL_COM4 ? n : used.port[i]);
	}
	if (screen_present()) {
		fmt_append(text, CONSOLE_VALUE, ", framebuffer");
	}
	return text;
}

static void report_skeleton(void)
{
	char console[CONSOLE_VALUE];
	const struct skeleton_machine m = {
		.cpu = cpu_facts,
		.cpus = host_cpu_count(),
		.memory = ram_free(),
		.console = console_value(console),
		.trust_tsc = tsc_problem() != NULL,
		.function = pci_functions,
		.functions = pci_function_count,
		.iommu = iommu != NULL,
	};

	skeleton_write(&m, put_text, NULL);
}

void report_print(const struct boot_info *b, const struct acpi_info *a, bool pages)
{
	paged = pages;
	rows = 0;
	say("hardware report");
	report_cpu();
	report_immune();
	report_cpus(a);
	virt->features(report_feature);
	for (unsigned i = 0; i < host_cpu_count(); i++) {
		if (cpu_facts[i].unusable.text[0]) {
			say("%s", cpu_facts[i].unusable.text);
		}
	}
	report_memory(b);
	report_tsc();
	report_iommu();
	report_pci();
	report_consoles(b);
	say("a configuration for this machine, between the two lines that begin with #:");
	report_skeleton();
	say("end of the hardware report");
	paged = false;
}
