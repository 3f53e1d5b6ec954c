/*
 * AMD-Vi behind hv/iommu.h: bring-up. Called through amdvi_ops on the boot CPU; owner of struct
 * amdvi.
 *
 * All units of segment 0 read the same device table: each meets only its own devices' entries.
 */
#include "drivers/amdvi.h"
#include "hv/cpu_facts.h"
#include "hv/host.h"
#include "hv/lib/string.h"
#include "hv/log.h"
#include "hv/pci.h"

struct amdvi amdvi;

static const struct acpi_info *acpi;
static hpa_t table_at, empty_table_at;

/* --- registers --- */

uint64_t amdvi_read(const struct amdvi_unit *u, unsigned offset)
{
	return host_mmio_read(u->at + offset, 8);
}

void amdvi_write(const struct amdvi_unit *u, unsigned offset, uint64_t value)
{
	host_mmio_write((volatile uint8_t *)u->at + offset, 8, value);
}

bool amdvi_wait(const struct amdvi_unit *u, uint64_t bits)
{
	uint64_t limit = host_tsc() + host_tsc_hz;

	while (amdvi_read(u, AMDVI_STATUS) & bits) {
		if (host_tsc() > limit) {
			return false;
		}
		host_relax();
	}
	return true;
}

/* --- finding out --- */

bool amdvi_refuse(struct refusal *r, const struct amdvi_unit *u, const char *why)
{
	return refuse(r,
		      "the AMD-Vi unit at 0x%lx %s; `iommu=off` on Mullion's command line starts "
		      "without it",
		      u->acpi->base.v, why);
}

static bool map_unit(struct amdvi_unit *u, struct refusal *r)
{
	if (u->acpi->base.v >= cpu_address_limit()) {
		return amdvi_refuse(r, u, "is beyond this CPU's addresses");
	}
	u->at = host_map_mmio(u->acpi->base, AMDVI_REGISTERS);
	u->ext = amdvi_read(u, AMDVI_EXTENDED);
	if (u->ext == UINT64_MAX) {
		return amdvi_refuse(r, u, "does not answer");
	}
	log_line("AMD-Vi: unit at 0x%lx, device %02x:%02x.%x: 48-bit addresses, %u levels, pages "
		 "to 1 GiB, features 0x%lx",
		 u->acpi->base.v, BDF_PARTS(u->acpi->bdf), amdvi_npt_format.levels, u->ext);
	return true;
}

bool amdvi_probe(const struct iommu_machine *m, struct refusal *r)
{
	memset(&amdvi, 0, sizeof(amdvi));
	acpi = m->acpi;
	if (!acpi_parse_ivrs(&amdvi.ivrs, m->acpi, m->map, m->map_ctx, r)) {
		return false;
	}
	for (unsigned i = 0; i < amdvi.ivrs.units; i++) {
		amdvi.unit[i] = (struct amdvi_unit){.acpi = &amdvi.ivrs.unit[i]};
		if (!map_unit(&amdvi.unit[i], r)) {
			return false;
		}
	}
	amdvi.remapping = amdvi_pins_known(&amdvi.ivrs, m->acpi);
	if (!amdvi.remapping) {
		log_line("AMD-Vi: the IVRS does not list all I/O APICs: interrupts are not "
			 "remapped");
	}
	return true;
}

/* --- taking over --- */

struct amdvi_device amdvi_entry(const struct iommu_domain *d, uint64_t interrupts)
{
	return (struct amdvi_device){.translation = amdvi_translation(d),
				     .domain = d ? d->id : 0,
				     .interrupts = amdvi.remapping ? interrupts : 0};
}

static bool make_table(hpa_t *at, struct refusal *r)
{
	struct amdvi_device blocked = amdvi_entry(NULL,
						  amdvi_interrupts(AMDVI_INT_ABORT, hpa(0), 0));
	struct amdvi_device *t;

	if (!host_alloc(AMDVI_DEVICES * sizeof(*t), PAGE_SIZE, at)) {
		return refuse(r, "no memory for an AMD-Vi device table");
	}
	t = host_ptr(*at);
	for (unsigned i = 0; i < AMDVI_DEVICES; i++) {
		t[i] = blocked;
	}
	return true;
}

/* I/O APICs send by their own table; what a unit itself has to say passes. */
static bool let_pins_through(struct refusal *r)
{
	unsigned length;
	uint16_t bdf;
	hpa_t at;

	if (!amdvi.remapping) {
		return true;
	}
	if (!amdvi_pins_init(&amdvi.ivrs, acpi, r)) {
		return false;
	}
	for (unsigned i = 0; amdvi_pins_table(i, &bdf, &at, &length); i++) {
		amdvi.table[bdf].interrupts = amdvi_interrupts(AMDVI_INT_REMAP, at, length);
	}
	for (unsigned i = 0; i < amdvi.ivrs.units; i++) {
		if (amdvi.ivrs.unit[i].segment == 0) {
			amdvi.table[amdvi.ivrs.unit[i].bdf].interrupts = amdvi_interrupts(
				AMDVI_INT_PASS, hpa(0), 0);
		}
	}
	return true;
}

static bool make_tables(struct refusal *r)
{
	bool others = false;

	for (unsigned i = 0; i < amdvi.ivrs.units; i++) {
		others |= amdvi.ivrs.unit[i].segment != 0;
	}
	if (!make_table(&table_at, r) || (others && !make_table(&empty_table_at, r))) {
		return false;
	}
	amdvi.table = host_ptr(table_at);
	return let_pins_through(r);
}

/* A unit must be off while its bases change; bits that firmware set for its links stay. */
static bool stop(struct amdvi_unit *u, struct refusal *r)
{
	uint64_t control = amdvi_read(u, AMDVI_CONTROL), keep = control & AMDVI_LINK;

	if (control & AMDVI_ON) {
		log_line("AMD-Vi: unit at 0x%lx: firmware left it on", u->acpi->base.v);
	}
	amdvi_write(u, AMDVI_CONTROL, keep | (control & AMDVI_ON));
	if (!amdvi_wait(u, AMDVI_LOG_RUNS | AMDVI_COMMANDS_RUN)) {
		return amdvi_refuse(r, u, "does not stop");
	}
	amdvi_write(u, AMDVI_CONTROL, keep);
	return true;
}

static bool start(struct amdvi_unit *u, struct refusal *r)
{
	uint64_t devices = u->acpi->segment == 0 ? table_at.v : empty_table_at.v;
	uint64_t size = AMDVI_DEVICES * sizeof(struct amdvi_device) / PAGE_SIZE - 1;
	uint64_t control = amdvi_read(u, AMDVI_CONTROL) | AMDVI_COHERENT;

	if (!host_alloc(3 * PAGE_SIZE, PAGE_SIZE, &u->memory)) {
		return refuse(r, "no memory for AMD-Vi commands");
	}
	u->commands = host_ptr(u->memory);
	u->events = host_ptr(hpa(u->memory.v + PAGE_SIZE));
	u->done = host_ptr(hpa(u->memory.v + 2 * PAGE_SIZE));
	amdvi_write(u, AMDVI_DEVICE_TABLE, devices | field_put(AMDVI_TABLE_SIZE, size));
	amdvi_write(u, AMDVI_EXCLUSION, 0);
	amdvi_write(u, AMDVI_EXCLUSION_LIMIT, 0);
	amdvi_commands_init(u);
	amdvi_events_init(u);
	amdvi_write(u, AMDVI_STATUS, AMDVI_OVERFLOW | AMDVI_EVENT_PENDING);
	amdvi_write(u, AMDVI_CONTROL, control | AMDVI_ON | AMDVI_EVENT_LOG | AMDVI_COMMAND_BUFFER);
	return amdvi_flush_all(u) || amdvi_refuse(r, u, "does not take commands");
}

static bool enable(struct refusal *r)
{
	if (!make_tables(r)) {
		return false;
	}
	for (unsigned i = 0; i < amdvi.ivrs.units; i++) {
		if (!stop(&amdvi.unit[i], r) || !start(&amdvi.unit[i], r)) {
			return false;
		}
	}
	log_line("AMD-Vi: on, %u unit%s, all devices blocked, interrupts %s", amdvi.ivrs.units,
		 amdvi.ivrs.units == 1 ? "" : "s", amdvi.remapping ? "remapped" : "not remapped");
	return true;
}

/* --- events --- */

static bool take_fault(struct iommu_fault *f)
{
	for (unsigned i = 0; i < amdvi.ivrs.units; i++) {
		if (amdvi_take_event(&amdvi.unit[i], f)) {
			f->owned = iommu_owned(f->bdf);
			return true;
		}
	}
	return false;
}

/* The first time is at boot; later other CPUs use config space, and the MSI is there already. */
static void route(struct amdvi_unit *u, uint32_t apic_id, uint8_t vector)
{
	uint64_t to = (uint64_t)apic_id << 8 | vector;

	if (vector && u->routed == to) {
		amdvi_write(u, AMDVI_CONTROL, amdvi_read(u, AMDVI_CONTROL) | AMDVI_EVENT_INTERRUPT);
		return;
	}
	amdvi_event_route(u, apic_id, vector);
	if (vector) {
		u->routed = amdvi_read(u, AMDVI_CONTROL) & AMDVI_EVENT_INTERRUPT ? to : 0;
	}
}

static void fault_interrupt(uint32_t apic_id, uint8_t vector)
{
	for (unsigned i = 0; i < amdvi.ivrs.units; i++) {
		route(&amdvi.unit[i], apic_id, vector);
	}
}

static bool remaps_interrupts(void)
{
	return amdvi.remapping;
}

/* Entries of an interrupt table have 8 bits for it. */
static bool reaches(uint32_t apic_id)
{
	return apic_id < 0xff;
}

static bool registers(unsigned index, uint64_t *base, uint64_t *size)
{
	if (index >= amdvi.ivrs.units) {
		return false;
	}
	*base = amdvi.unit[index].acpi->base.v;
	*size = amdvi.unit[index].ext & AMDVI_EXT_COUNTERS ? AMDVI_COUNTERS_END : AMDVI_REGISTERS;
	return true;
}

const struct iommu_ops amdvi_ops = {
	.name = "AMD-Vi",
	.enable = enable,
	.domain_create = amdvi_domain_create,
	.attach = amdvi_attach,
	.msi = amdvi_msi,
	.ioapic = amdvi_pin,
	.take_fault = take_fault,
	.fault_interrupt = fault_interrupt,
	.quiet = amdvi_quiet,
	.remaps_interrupts = remaps_interrupts,
	.reaches = reaches,
	.registers = registers,
};
