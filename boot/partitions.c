/*
 * From a bootable machine to running guests: backend, partitions, start.
 *
 * Called once by main.c on the boot CPU when all CPUs are up and parked. Everything is checked and
 * built before anything starts; the first cause against it is printed and nothing is started.
 */
#include "arch/x86_64/irq.h"
#include "arch/x86_64/percpu.h"
#include "arch/x86_64/svm/svm.h"
#include "arch/x86_64/vmx/vmx.h"
#include "boot/configuration.h"
#include "boot/keyboard.h"
#include "boot/main.h"
#include "boot/report.h"
#include "boot/screen.h"
#include "boot/stage.h"
#include "boot/warm.h"
#include "drivers/power.h"
#include "hv/console/console.h"
#include "hv/cpu_facts.h"
#include "hv/cpuid.h"
#include "hv/host.h"
#include "hv/log.h"
#include "hv/multihit.h"
#include "hv/partition.h"
#include "hv/passthrough.h"
#include "hv/speculation.h"

static struct partition partition[MAX_GUESTS];

/* --- virtualization --- */

static bool choose_backend(struct refusal *r)
{
	virt = cpu_is_amd() ? &svm_ops : &vmx_ops;
	if (!virt->probe()) {
		return refuse(r, "this CPU cannot run Mullion's guests: see the lines above");
	}
	return true;
}

static void enable_cpu(void *arg)
{
	virt->cpu_enable(arg);
}

/* A CPU that cannot run guests is told of, and refused only to who wants it. */
static void enable_cpus(void)
{
	for (unsigned cpu = 0; cpu < host_cpu_count(); cpu++) {
		struct refusal *r = &cpu_facts[cpu].unusable;

		cpu_call(cpu, enable_cpu, r);
		if (r->text[0]) {
			log_line("%s; it can run no guest", r->text);
		}
	}
}

/* The erratum is one of EPT leaves: nothing is different with SVM. */
static void choose_leaves(const struct boot_info *b)
{
	if (virt == &vmx_ops) {
		vmx_npt_format.small_code = multihit_choose(boot_option_value(b, "multihit="),
							    cpu_facts, host_cpu_count());
	}
}

static void meet_cpu(void *unused)
{
	(void)unused;
	cpuid_meet();
}

/* What guests see of a CPU: the boot CPU's features that all of their CPUs have. */
static void choose_features(void)
{
	speculation_init();
	cpuid_init();
	for (unsigned i = 0; i < config.guests; i++) {
		for (unsigned n = 0; n < config.guest[i].cpus; n++) {
			cpu_call(config.guest[i].cpu[n], meet_cpu, NULL);
		}
	}
}

/* --- partitions --- */

static bool any_pci(void)
{
	bool any = false;

	for (unsigned i = 0; i < config.guests; i++) {
		any |= config.guest[i].pcis != 0;
	}
	return any;
}

static bool create_partition(const struct boot_info *b, unsigned i, struct refusal *r)
{
	struct config_guest *g = &config.guest[i];
	struct partition *p = &partition[i];

	p->config = g;
	p->file = &config;
	p->index = i;
	p->image = (struct load_image){
		.kernel = configuration_file(b, &g->kernel),
		.initrd = configuration_file(b, &g->initrd),
		.modules = g->modules,
		.cmdline = g->cmdline,
		.flat = g->flat,
		.flat_load = g->load,
		.flat_entry = g->entry,
		.memory = g->memory,
	};
	for (unsigned n = 0; n < g->modules; n++) {
		p->image.module[n] = configuration_file(b, &g->module[n]);
	}
	return partition_create(p, virt->npt_format, r);
}

static bool create_partitions(const struct boot_info *b, struct refusal *r)
{
	for (unsigned i = 0; i < config.guests; i++) {
		partitions[partition_count++] = &partition[i];
	}
	/* First those that want RAM at certain addresses. */
	for (unsigned n = 0; n < 2 * config.guests; n++) {
		unsigned i = n % config.guests;
		bool first = config.guest[i].dma == DMA_UNSAFE_IDENTITY;

		if (first == (n < config.guests) && !create_partition(b, i, r)) {
			return false;
		}
	}
	if (any_pci()) {
		passthrough_silence_rest();
	}
	return true;
}

/* A CPU without a guest serves the console; if all have one, the boot CPU does beside its own. */
static unsigned choose_console_cpu(void)
{
	for (unsigned cpu = 0; cpu < host_cpu_count(); cpu++) {
		bool owned = false;

		for (unsigned i = 0; i < partition_count; i++) {
			for (unsigned n = 0; n < partitions[i]->vcpus; n++) {
				owned |= partitions[i]->vcpu[n]->cpu == cpu;
			}
		}
		if (!owned) {
			return cpu;
		}
	}
	return 0;
}

static void run_vcpu(void *v)
{
	vcpu_loop(v);
}

static void run_console(void *unused)
{
	(void)unused;
	console_loop();
}

/* Lets every CPU go; the boot CPU's own job comes last, because it does not return. */
static NORETURN void start(unsigned console_cpu)
{
	struct vcpu *own = NULL;

	for (unsigned i = 0; i < partition_count; i++) {
		for (unsigned n = 0; n < partitions[i]->vcpus; n++) {
			struct vcpu *v = partitions[i]->vcpu[n];

			percpu_of[v->cpu]->vcpu = v;
			if (v->cpu == host_cpu()) {
				own = v;
			} else {
				cpu_start(v->cpu, run_vcpu, v);
			}
		}
	}
	if (!percpu_of[console_cpu]->vcpu) {
		cpu_start(console_cpu, run_console, NULL);
	}
	if (own) {
		vcpu_loop(own);
	}
	for (;;) {
		host_wait();
	}
}

static NORETURN void refused(const struct refusal *r)
{
	log_line("refused: %s", r->text);
	host_stop();
}

static void put_log(void *ctx, const char *text)
{
	(void)ctx;
	log_text(text);
}

/* Verbose: what the machine is, and what is about to be started. */
static void report_safe(const struct boot_info *b, const struct acpi_info *a)
{
	report_print(b, a, false);
	log_line("the configuration as it is used:");
	config_dump(&config, put_log, NULL);
}

/*
 * The word `report`: nothing is started, and a configuration only tells where serial consoles are.
 * The screen is always one.
 */
static NORETURN void report_only(const struct boot_info *b, const struct acpi_info *a)
{
	struct refusal r = {""};

	if (configuration_read(b, &r)) {
		config.system.console.framebuffer = true;
		configuration_use_consoles(b);
	}
	r.text[0] = 0;
	if (choose_backend(&r)) {
		enable_cpus();
	} else {
		log_line("%s", r.text);
	}
	report_print(b, a, false);
	if (screen_present()) {
		keyboard_begin(a);
	}
	log_line("nothing is started, as the command line says; the space bar shows the report "
		 "page by page, r restarts the machine");
	for (;;) {
		int typed;

		host_timer_set(host_console_watch(false));
		while ((typed = host_console_get()) >= 0) {
			if (typed == 'r') {
				warm_ended();
				power_reset();
			} else if (typed == ' ') {
				report_print(b, a, true);
			}
		}
		host_wait();
	}
}

void mullion_main(struct boot_info *b, struct acpi_info *a)
{
	struct refusal r = {""};
	bool safe = boot_option(b, "safe"), able;
	unsigned console_cpu;

	device_irq_init(a);
	boot_stage(STAGE_CONFIG);
	if (boot_option(b, "report")) {
		report_only(b, a);
	}
	if (!configuration_read(b, &r)) {
		refused(&r);
	}
	if (safe) {
		configuration_make_safe(); /* first: it keeps a guest's serial card as a console */
	}
	configuration_use_consoles(b);
	boot_stage(STAGE_VIRT);
	able = choose_backend(&r);
	if (able) {
		enable_cpus();
	}
	if (safe) {
		report_safe(b, a);
	} else if (config.system.report) {
		report_print(b, a, false);
	}
	if (!able || !configuration_check(b, a, &r)) {
		refused(&r);
	}
	cpu_facts_warn_siblings(cpu_facts, host_cpu_count(), &config);
	choose_features();
	choose_leaves(b);
	boot_stage(STAGE_PARTITIONS);
	if (!create_partitions(b, &r)) {
		refused(&r);
	}
	screen_yield(&config);
	if (screen_present()) {
		keyboard_begin(a);
	}
	console_cpu = choose_console_cpu();
	log_line("%u guest%s on %s, console on CPU %u", partition_count,
		 partition_count == 1 ? "" : "s", virt->name, console_cpu);
	console_init(&config.system, console_cpu);
	boot_stage(STAGE_GUESTS);
	start(console_cpu);
}
