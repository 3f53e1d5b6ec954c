/*
 * From a bootable machine to running guests: configuration, backend, partitions, start.
 *
 * Called once by main.c on the boot CPU when all CPUs are up and parked. Everything is checked and
 * built before anything starts; the first cause against it is printed and nothing is started.
 */
#include "arch/x86_64/device_irq.h"
#include "arch/x86_64/percpu.h"
#include "arch/x86_64/svm/svm.h"
#include "arch/x86_64/vmx/vmx.h"
#include "boot/console.h"
#include "boot/keyboard.h"
#include "boot/main.h"
#include "boot/memory.h"
#include "boot/ram.h"
#include "boot/report.h"
#include "boot/screen.h"
#include "boot/stage.h"
#include "boot/warm.h"
#include "drivers/power.h"
#include "drivers/tsc.h"
#include "hv/console/console.h"
#include "hv/cpu_facts.h"
#include "hv/cpuid.h"
#include "hv/host.h"
#include "hv/iommu.h"
#include "hv/lib/string.h"
#include "hv/log.h"
#include "hv/partition.h"
#include "hv/passthrough.h"
#include "hv/pci.h"

static struct config config;
static struct partition partition[MAX_GUESTS];

/* --- files of the boot image --- */

static const struct boot_module *find_module(const struct boot_info *b, const char *name)
{
	for (unsigned i = 0; i < b->modules; i++) {
		if (strcmp(b->module[i].name, config_file_base(name)) == 0) {
			return &b->module[i];
		}
	}
	return NULL;
}

struct found {
	const struct boot_info *boot;
	const struct acpi_info *acpi;
};

static bool file_exists(void *ctx, const char *name, uint64_t *size)
{
	const struct found *f = ctx;
	const struct boot_module *m = find_module(f->boot, name);

	if (m) {
		*size = m->size;
	}
	return m != NULL;
}

static struct load_file load_file(const struct boot_info *b, const struct config_file *f)
{
	const struct boot_module *m = f->name[0] ? find_module(b, f->name) : NULL;

	if (!m) {
		return (struct load_file){NULL, 0, f->name, f->args};
	}
	return (struct load_file){host_ptr(m->start), m->size, f->name, f->args};
}

/* --- configuration --- */

static bool open_config(void *ctx, const char *name, const char **text, size_t *len,
			struct refusal *r)
{
	const struct boot_module *m = find_module(ctx, name);

	if (!m) {
		return refuse(r,
			      "the boot image has no module %s; add `module2 FILE %s` to grub.cfg",
			      name, name);
	}
	*text = host_ptr(m->start);
	*len = m->size;
	return true;
}

/* `config=NAME` on the loader's command line chooses another module than mullion.conf. */
static bool read_config(const struct boot_info *b, struct refusal *r)
{
	const struct config_source source = {open_config, (void *)(uintptr_t)b};
	char name[MAX_FILE] = CONFIG_DEFAULT;
	const char *given = boot_option_value(b, "config=");
	size_t len = 0;

	while (given && given[len] && given[len] != ' ') {
		len++;
	}
	if (len >= sizeof(name)) {
		return refuse(r, "config= names a file that is longer than %u bytes", MAX_FILE - 1);
	}
	if (len) {
		memcpy(name, given, len);
		name[len] = 0;
	}
	return config_choose(&config, name, &source, r);
}

/* Of what the configuration says, the least that can run: one guest, and no device of the machine.
 */
static void make_safe(void)
{
	struct config_guest *g = &config.guest[0];

	log_line("safe mode: only guest '%s', the first of %u, is started; `pci`, `ports` and "
		 "`mmio` are left out",
		 g->name, config.guests);
	config.guests = 1;
	g->pcis = 0;
	g->ports = 0;
	g->mmios = 0;
	g->dma = DMA_REMAPPED;
}

/* `console =` in [system] holds unless the loader's command line said something. */
static void use_consoles(const struct boot_info *b)
{
	const struct config_console *c = &config.system.console;
	struct console_list used, wanted = {.ports = c->ports};

	for (unsigned i = 0; i < config.guests; i++) {
		for (unsigned n = 0; n < config.guest[i].pcis; n++) {
			const struct config_pci *f = &config.guest[i].pci[n];

			console_withdraw(pci_bdf(f->bus, f->device, f->function));
		}
	}
	if (boot_option(b, "console=")) {
		return;
	}
	for (unsigned i = 0; i < c->ports; i++) {
		wanted.port[i] = c->port[i];
	}
	wanted.screen = c->framebuffer;
	console_use(&wanted);
	if (wanted.screen && config.system.present && !screen_present()) {
		log_line("console: this machine has no screen that can be drawn on");
	}
	console_used(&used);
	/* Rather than nowhere, the log goes to the screen. */
	if (!wanted.screen && (c->none || used.ports)) {
		screen_end("mullion: `console` does not list framebuffer: nothing more is shown "
			   "here\n");
	}
}

static bool any_pci(void)
{
	bool any = false;

	for (unsigned i = 0; i < config.guests; i++) {
		any |= config.guest[i].pcis != 0;
	}
	return any;
}

static bool meets_page(uint64_t base, uint64_t size, hpa_t page)
{
	return page.v < base + size && base < page.v + PAGE_SIZE;
}

static bool meets_iommu(uint64_t base, uint64_t size)
{
	uint64_t at, bytes;

	for (unsigned i = 0; iommu && iommu->registers(i, &at, &bytes); i++) {
		if (at < base + size && base < at + bytes) {
			return true;
		}
	}
	return false;
}

static const char *mmio_taken(void *ctx, uint64_t base, uint64_t size)
{
	const struct found *f = ctx;

	if (meets_page(base, size, f->acpi->lapic)) {
		return "the local APIC";
	}
	for (unsigned i = 0; i < f->acpi->ioapics; i++) {
		if (meets_page(base, size, f->acpi->ioapic[i].base)) {
			return "an I/O APIC";
		}
	}
	if (meets_iommu(base, size)) {
		return "an IOMMU";
	}
	return memory_meets(f->boot, base, size);
}

static const char *cpu_unusable(void *ctx, unsigned cpu)
{
	const char *why = cpu_facts[cpu].unusable.text;

	(void)ctx;
	return why[0] ? why : NULL;
}

static bool check_machine(const struct boot_info *b, const struct acpi_info *a, struct refusal *r)
{
	struct found found = {.boot = b, .acpi = a};
	struct config_machine machine = {
		.cpus = host_cpu_count(),
		.memory = ram_free(),
		.file_exists = file_exists,
		.mmio_taken = mmio_taken,
		.cpu_unusable = cpu_unusable,
		.ctx = &found,
		.machine_name = "this machine",
	};

	if (tsc_problem() && config.system.tsc != TSC_TRUST) {
		return refuse(r, "%s; `tsc = trust` in [system] starts them all the same",
			      tsc_problem());
	}
	if (tsc_problem()) {
		log_line("warning: %s", tsc_problem());
	}
	return config_check_machine(&config, &machine, r) &&
	       passthrough_check(&config, &machine, r);
}

/* --- virtualization --- */

static bool choose_backend(struct refusal *r)
{
	uint32_t id[4];

	host_cpuid(0, 0, id);
	virt = id[2] == 0x444d4163 || id[2] == 0x656e6975 ? &svm_ops
							  : &vmx_ops; /* "cAMD", "uine" */
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

static void meet_cpu(void *unused)
{
	(void)unused;
	cpuid_meet();
}

/* What guests see of a CPU: the boot CPU's features that all of their CPUs have. */
static void choose_features(void)
{
	cpuid_init();
	for (unsigned i = 0; i < config.guests; i++) {
		for (unsigned n = 0; n < config.guest[i].cpus; n++) {
			cpu_call(config.guest[i].cpu[n], meet_cpu, NULL);
		}
	}
}

/* --- partitions --- */

static bool create_partition(const struct boot_info *b, unsigned i, struct refusal *r)
{
	struct config_guest *g = &config.guest[i];
	struct partition *p = &partition[i];

	p->config = g;
	p->file = &config;
	p->index = i;
	p->image = (struct load_image){
		.kernel = load_file(b, &g->kernel),
		.initrd = load_file(b, &g->initrd),
		.modules = g->modules,
		.cmdline = g->cmdline,
		.flat = g->flat,
		.flat_load = g->load,
		.flat_entry = g->entry,
		.memory = g->memory,
	};
	for (unsigned n = 0; n < g->modules; n++) {
		p->image.module[n] = load_file(b, &g->module[n]);
	}
	return partition_create(p, virt->npt_format, r);
}

static bool create_partitions(const struct boot_info *b, struct refusal *r)
{
	for (unsigned i = 0; i < config.guests; i++) {
		partitions[partition_count++] = &partition[i];
	}
	/* First those that want RAM at certain addresses. */
	for (unsigned i = 0; i < config.guests; i++) {
		if (config.guest[i].dma == DMA_UNSAFE_IDENTITY && !create_partition(b, i, r)) {
			return false;
		}
	}
	for (unsigned i = 0; i < config.guests; i++) {
		if (config.guest[i].dma != DMA_UNSAFE_IDENTITY && !create_partition(b, i, r)) {
			return false;
		}
	}
	if (any_pci()) {
		passthrough_silence_rest();
	}
	return true;
}

/* A CPU without a guest serves the console; if all have one, the boot CPU does it beside its guest.
 */
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

	if (read_config(b, &r)) {
		config.system.console.framebuffer = true;
		use_consoles(b);
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
	if (!read_config(b, &r)) {
		refused(&r);
	}
	if (safe) {
		make_safe(); /* first: a serial card that a guest would have stays a console */
	}
	use_consoles(b);
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
	if (!able || !check_machine(b, a, &r)) {
		refused(&r);
	}
	cpu_facts_warn_siblings(cpu_facts, host_cpu_count(), &config);
	choose_features();
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
