/*
 * Checks between keys and between guests: what a configuration says that cannot all be true.
 *
 * config_parse calls config_check when every value alone is in range. Guests are looked at in the
 * order of the file, each against itself, what Mullion emulates or owns, and the guests before it.
 * A refusal stands at the later of two places and names the earlier one. No state.
 */
#include "hv/config_table.h"
#include "hv/lib/string.h"
#include "hv/partition.h"
#include "hv/vdev/vioapic.h"
#include "hv/vdev/vlapic.h"
#include "hv/vdev/vpci.h"
#include "hv/vdev/vpm.h"

/* Addresses or ports, and whose they are. */
struct claim {
	uint64_t base, size;
	const char *whose;
};

/* The virtual PC's ports, but for a guest's UART and debug-exit. */
static const struct claim emulated_port[] = {
	{0x20, 2, "interrupt controller"},
	{0x40, 4, "timer"},
	{0x60, 2, "keyboard controller"},
	{0x64, 1, "keyboard controller"},
	{0x70, 2, "clock"},
	{0x80, 1, "POST port"},
	{0x92, 1, "reset port"},
	{0xa0, 2, "interrupt controller"},
	{0x4d0, 2, "interrupt controller"},
	{VPM_PM1_EVT, VPM_TIMER + 4 - VPM_PM1_EVT, "power management"},
	{0xcf8, 8, "PCI bus"},
};

static const struct claim emulated_mmio[] = {
	{VPCI_ECAM_BASE, VPCI_ECAM_SIZE, "PCI bus"},
	{VIOAPIC_BASE, PAGE_SIZE, "I/O APIC"},
	{VLAPIC_BASE_DEFAULT, PAGE_SIZE, "local APIC"},
};

static bool overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	return a_size && b_size && a < b + b_size && b < a + a_size;
}

static const struct claim *find_claim(const struct claim *c, size_t n, uint64_t base, uint64_t size)
{
	for (; n; n--, c++) {
		if (overlap(c->base, c->size, base, size)) {
			return c;
		}
	}
	return NULL;
}

/* --- one guest --- */

static bool check_flat(const struct config *c, const struct config_guest *g, struct refusal *r)
{
	if (!g->flat) {
		return true;
	}
	if (g->entry < g->load) {
		return config_refuse(r, c, g->entry_place,
				     "entry 0x%lx lies before load 0x%lx; it must be in the image",
				     g->entry, g->load);
	}
	if (overlap(g->load, 1, GUEST_VGA_HOLE, GUEST_BIOS_AREA - GUEST_VGA_HOLE)) {
		return config_refuse(r, c, g->load_place,
				     "there is no RAM at 0x%lx; 0xa0000-0xbffff is video memory",
				     g->load);
	}
	if (g->initrd.name[0] || g->modules || g->cmdline[0]) {
		return config_refuse(r, c, g->load_place,
				     "a flat image gets no initrd, module or cmdline; remove them");
	}
	return true;
}

/* Ports that the guest would find emulated. */
static bool check_emulated_ports(const struct config *c, const struct config_guest *g,
				 const struct config_range *range, struct refusal *r)
{
	const struct claim serial = {config_serial_port(g->serial), CONFIG_SERIAL_PORTS,
				     "serial port"};
	const struct claim *hit = find_claim(emulated_port, ARRAY_SIZE(emulated_port), range->base,
					     range->size);

	if (!hit && g->serial != SERIAL_NONE) {
		hit = find_claim(&serial, 1, range->base, range->size);
	}
	if (hit) {
		return config_refuse(
			r, c, range->place,
			"guest '%s': ports 0x%lx-0x%lx meet its emulated %s; leave out 0x%lx-0x%lx",
			g->name, range->base, range->base + range->size - 1, hit->whose, hit->base,
			hit->base + hit->size - 1);
	}
	return true;
}

/* Ports of the machine that Mullion itself uses. */
static bool check_own_ports(const struct config *c, const struct config_guest *g,
			    const struct config_range *range, struct refusal *r)
{
	const struct config_system *s = &c->system;
	const char *whose = NULL;

	for (unsigned i = 0; i < s->console.ports; i++) {
		if (overlap(s->console.port[i], CONFIG_SERIAL_PORTS, range->base, range->size)) {
			whose = "console";
		}
	}
	if (s->debug_exit &&
	    overlap(s->debug_exit, CONFIG_DEBUG_EXIT_PORTS, range->base, range->size)) {
		whose = "debug-exit";
	}
	if (s->bochs_shutdown && overlap(CONFIG_BOCHS_SHUTDOWN, 1, range->base, range->size)) {
		whose = "bochs-shutdown";
	}
	if (whose) {
		return config_refuse(
			r, c, range->place,
			"guest '%s': ports 0x%lx-0x%lx meet those of %s in [system]; change one",
			g->name, range->base, range->base + range->size - 1, whose);
	}
	return true;
}

static bool check_debug_exit(const struct config *c, const struct config_guest *g,
			     struct refusal *r)
{
	const struct config_range own = {g->debug_exit, CONFIG_DEBUG_EXIT_PORTS,
					 g->debug_exit_place};

	if (!g->debug_exit) {
		return true;
	}
	for (unsigned i = 0; i < g->ports; i++) {
		if (overlap(own.base, own.size, g->port[i].base, g->port[i].size)) {
			return config_refuse(r, c, own.place,
					     "guest '%s': debug-exit 0x%x meets ports on line %u; "
					     "its ports are 0x%x-0x%x",
					     g->name, g->debug_exit, g->port[i].place.line,
					     g->debug_exit,
					     g->debug_exit + CONFIG_DEBUG_EXIT_PORTS - 1);
		}
	}
	return check_emulated_ports(c, g, &own, r);
}

/* partition.c lays a guest's RAM out so. */
static bool meets_ram(const struct config_guest *g, const struct config_range *range)
{
	uint64_t low = g->memory < GUEST_LOW_LIMIT ? g->memory : GUEST_LOW_LIMIT;
	const struct claim ram[] = {
		{0, GUEST_VGA_HOLE, NULL},
		{GUEST_BIOS_AREA, low - GUEST_BIOS_AREA, NULL},
		{GUEST_HIGH_BASE, g->memory - low, NULL},
	};

	return find_claim(ram, ARRAY_SIZE(ram), range->base, range->size) != NULL;
}

static bool check_mmio(const struct config *c, const struct config_guest *g,
		       const struct config_range *range, struct refusal *r)
{
	const struct claim *hit = find_claim(emulated_mmio, ARRAY_SIZE(emulated_mmio), range->base,
					     range->size);

	if (hit || meets_ram(g, range)) {
		return config_refuse(r, c, range->place,
				     "guest '%s': mmio 0x%lx-0x%lx meets its %s; a device of the "
				     "machine cannot be there",
				     g->name, range->base, range->base + range->size - 1,
				     hit ? hit->whose : "RAM");
	}
	return true;
}

static bool check_alone(const struct config *c, const struct config_guest *g, struct refusal *r)
{
	for (unsigned i = 0; i < g->ports; i++) {
		if (!check_emulated_ports(c, g, &g->port[i], r) ||
		    !check_own_ports(c, g, &g->port[i], r)) {
			return false;
		}
	}
	for (unsigned i = 0; i < g->mmios; i++) {
		if (!check_mmio(c, g, &g->mmio[i], r)) {
			return false;
		}
	}
	return check_flat(c, g, r) && check_debug_exit(c, g, r);
}

/* --- two guests; or a guest with itself, of which only the values before count --- */

static bool check_cpus(const struct config *c, const struct config_guest *a,
		       const struct config_guest *b, struct refusal *r)
{
	for (unsigned i = 0; a != b && i < b->cpus; i++) {
		for (unsigned j = 0; j < a->cpus; j++) {
			if (a->cpu[j] == b->cpu[i]) {
				return config_refuse(r, c, b->cpus_place,
						     "guest '%s': CPU %u already belongs to guest "
						     "'%s' (line %u); guests share no CPU",
						     b->name, b->cpu[i], a->name,
						     a->cpus_place.line);
			}
		}
	}
	return true;
}

static bool check_ranges(const struct config *c, const struct config_guest *a,
			 const struct config_guest *b, bool ports, struct refusal *r)
{
	const struct config_range *x = ports ? a->port : a->mmio;
	const struct config_range *y = ports ? b->port : b->mmio;
	unsigned nx = ports ? a->ports : a->mmios, ny = ports ? b->ports : b->mmios;

	for (unsigned i = 0; i < ny; i++) {
		for (unsigned j = 0; j < (a == b ? i : nx); j++) {
			if (overlap(x[j].base, x[j].size, y[i].base, y[i].size)) {
				return config_refuse(r, c, y[i].place,
						     "guest '%s': %s 0x%lx-0x%lx overlap those of "
						     "guest '%s' (line %u); give them to one",
						     b->name, ports ? "ports" : "mmio", y[i].base,
						     y[i].base + y[i].size - 1, a->name,
						     x[j].place.line);
			}
		}
	}
	return true;
}

static bool check_pci(const struct config *c, const struct config_guest *a,
		      const struct config_guest *b, struct refusal *r)
{
	for (unsigned i = 0; i < b->pcis; i++) {
		const struct config_pci *y = &b->pci[i];

		for (unsigned j = 0; j < (a == b ? i : a->pcis); j++) {
			const struct config_pci *x = &a->pci[j];

			if (x->bus == y->bus && x->device == y->device &&
			    x->function == y->function) {
				return config_refuse(r, c, y->place,
						     "guest '%s': PCI %02x:%02x.%x already belongs "
						     "to guest '%s' (line %u); give it to one",
						     b->name, y->bus, y->device, y->function,
						     a->name, x->place.line);
			}
		}
	}
	return true;
}

/* The boot image knows files by the last part of their names. */
static bool check_files(const struct config *c, const struct config_guest *a,
			const struct config_guest *b, struct refusal *r)
{
	const struct config_file *x, *y;

	for (unsigned i = 0; (y = config_file_at(b, i)) != NULL; i++) {
		for (unsigned j = 0; (x = config_file_at(a, j)) != NULL && x != y; j++) {
			if (strcmp(config_file_base(x->name), config_file_base(y->name)) == 0 &&
			    strcmp(x->name, y->name) != 0) {
				return config_refuse(r, c, y->place,
						     "another file named '%.40s' is on line %u; in "
						     "the boot image they would be one, rename it",
						     config_file_base(y->name), x->place.line);
			}
		}
	}
	return true;
}

bool config_check(const struct config *c, struct refusal *r)
{
	for (unsigned i = 0; i < c->guests; i++) {
		const struct config_guest *b = &c->guest[i];

		if (!check_alone(c, b, r)) {
			return false;
		}
		for (unsigned j = 0; j <= i; j++) {
			const struct config_guest *a = &c->guest[j];

			if (!check_cpus(c, a, b, r) || !check_ranges(c, a, b, true, r) ||
			    !check_ranges(c, a, b, false, r) || !check_pci(c, a, b, r) ||
			    !check_files(c, a, b, r)) {
				return false;
			}
		}
	}
	return true;
}
