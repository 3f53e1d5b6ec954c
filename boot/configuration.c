/*
 * The configuration of this boot: see configuration.h. Called by partitions.c, on the boot CPU.
 */
#include "boot/configuration.h"
#include "boot/console.h"
#include "boot/main.h"
#include "boot/memory.h"
#include "boot/ram.h"
#include "boot/screen.h"
#include "drivers/tsc.h"
#include "hv/cpu_facts.h"
#include "hv/host.h"
#include "hv/iommu.h"
#include "hv/lib/string.h"
#include "hv/log.h"
#include "hv/passthrough.h"
#include "hv/pci.h"

struct config config;

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

struct load_file configuration_file(const struct boot_info *b, const struct config_file *f)
{
	const struct boot_module *m = f->name[0] ? find_module(b, f->name) : NULL;

	if (!m) {
		return (struct load_file){NULL, 0, f->name, f->args};
	}
	return (struct load_file){host_ptr(m->start), m->size, f->name, f->args};
}

/* --- the text and what is made of it --- */

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

bool configuration_read(const struct boot_info *b, struct refusal *r)
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

void configuration_make_safe(void)
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

void configuration_use_consoles(const struct boot_info *b)
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

/* --- against the machine --- */

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

/* Who has it has all functions of the machine. */
static bool meets_ecam(const struct acpi_info *a, uint64_t base, uint64_t size)
{
	for (unsigned i = 0; i < a->mcfgs; i++) {
		uint64_t first = a->mcfg[i].base + MIB((uint64_t)a->mcfg[i].bus_first);
		uint64_t end = a->mcfg[i].base + MIB(a->mcfg[i].bus_last + 1ull);

		if (first < base + size && base < end) {
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
	if (meets_ecam(f->acpi, base, size)) {
		return "PCI configuration space";
	}
	return memory_meets(f->boot, base, size);
}

static const char *cpu_unusable(void *ctx, unsigned cpu)
{
	const char *why = cpu_facts[cpu].unusable.text;

	(void)ctx;
	return why[0] ? why : NULL;
}

bool configuration_check(const struct boot_info *b, const struct acpi_info *a, struct refusal *r)
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
