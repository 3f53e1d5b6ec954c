/*
 * AMD-Vi behind hv/iommu.h: bring-up and the device table. Called through amdvi_ops.
 *
 * All units of segment 0 read the same device table: each meets only its own devices' entries.
 * Owner of the table; an entry is changed by the boot CPU or by the CPU of the partition that owns
 * the device.
 */
#include "drivers/amdvi.h"
#include "hv/host.h"
#include "hv/log.h"

enum { MSIS_LOG2 = 8 };
_Static_assert(1 << MSIS_LOG2 == IOMMU_MSIS, "an interrupt table of one device");

/* A function that some partition owned once. Entered by the boot CPU, never removed. */
struct amdvi_function {
	uint16_t bdf, alias; /* its requests carry alias */
	struct amdvi_unit *unit;
	struct iommu_domain *domain;   /* NULL: it reaches nothing */
	struct iommu_domain *reserved; /* holds the ranges that firmware reserved for it */
	hpa_t remap_at;
	uint32_t *remap; /* IOMMU_MSIS entries */
};

static struct ivrs_info ivrs;
static const struct acpi_info *acpi;
static struct amdvi_unit unit[IVRS_UNITS];
static struct amdvi_function function[IOMMU_FUNCTIONS];
static unsigned functions;
static bool remapping;
static hpa_t table_at, empty_table_at;
static struct amdvi_device *table;

/* --- registers --- */

uint64_t amdvi_read(const struct amdvi_unit *u, unsigned offset)
{
	return host_mmio_read(u->at + offset, 8);
}

void amdvi_write(const struct amdvi_unit *u, unsigned offset, uint64_t value)
{
	host_mmio_write((volatile uint8_t *)u->at + offset, 8, value);
}

bool amdvi_wait(const struct amdvi_unit *u, unsigned offset, uint64_t mask, uint64_t want)
{
	uint64_t limit = host_tsc() + host_tsc_hz;

	while ((amdvi_read(u, offset) & mask) != want) {
		if (host_tsc() > limit) {
			return false;
		}
		host_relax();
	}
	return true;
}

/* --- finding out --- */

static bool refuse_unit(struct refusal *r, const struct amdvi_unit *u, const char *why)
{
	return refuse(r,
		      "the AMD-Vi unit at 0x%llx %s; `iommu=off` on Mullion's command line "
		      "starts without it",
		      (unsigned long long)u->acpi->base.v, why);
}

static bool map_unit(struct amdvi_unit *u, struct refusal *r)
{
	u->at = host_map_mmio(u->acpi->base, AMDVI_REGISTERS);
	u->ext = amdvi_read(u, AMDVI_EXTENDED);
	if (u->ext == UINT64_MAX) {
		return refuse_unit(r, u, "does not answer");
	}
	log_line(
		"AMD-Vi: unit at 0x%lx, device %02x:%02x.%x: %u-bit addresses, %u levels, pages to "
		"1 GiB, features 0x%lx",
		u->acpi->base.v, u->acpi->bdf >> 8, u->acpi->bdf >> 3 & 31, u->acpi->bdf & 7, 48,
		amdvi_npt_format.levels, u->ext);
	return true;
}

bool amdvi_probe(const struct iommu_machine *m, struct refusal *r)
{
	acpi = m->acpi;
	functions = 0;
	if (!acpi_parse_ivrs(&ivrs, m->acpi, m->map, m->map_ctx, r)) {
		return false;
	}
	for (unsigned i = 0; i < ivrs.units; i++) {
		unit[i] = (struct amdvi_unit){.acpi = &ivrs.unit[i]};
		if (!map_unit(&unit[i], r)) {
			return false;
		}
	}
	remapping = amdvi_pins_known(&ivrs, m->acpi);
	if (!remapping) {
		log_line("AMD-Vi: the IVRS does not list all I/O APICs: interrupts are not "
			 "remapped");
	}
	return true;
}

/* --- taking over --- */

static struct amdvi_device entry_for(const struct iommu_domain *d, uint64_t interrupts)
{
	return (struct amdvi_device){.translation = amdvi_translation(d),
				     .domain = d ? d->id : 0,
				     .interrupts = remapping ? interrupts : 0};
}

static bool make_table(hpa_t *at, struct refusal *r)
{
	struct amdvi_device blocked = entry_for(NULL, amdvi_interrupts(AMDVI_INT_ABORT, hpa(0), 0));
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

	if (!remapping) {
		return true;
	}
	if (!amdvi_pins_init(&ivrs, acpi, r)) {
		return false;
	}
	for (unsigned i = 0; amdvi_pins_table(i, &bdf, &at, &length); i++) {
		table[bdf].interrupts = amdvi_interrupts(AMDVI_INT_REMAP, at, length);
	}
	for (unsigned i = 0; i < ivrs.units; i++) {
		if (ivrs.unit[i].segment == 0) {
			table[ivrs.unit[i].bdf].interrupts = amdvi_interrupts(AMDVI_INT_PASS,
									      hpa(0), 0);
		}
	}
	return true;
}

static bool make_tables(struct refusal *r)
{
	bool others = false;

	for (unsigned i = 0; i < ivrs.units; i++) {
		others |= ivrs.unit[i].segment != 0;
	}
	if (!make_table(&table_at, r) || (others && !make_table(&empty_table_at, r))) {
		return false;
	}
	table = host_ptr(table_at);
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
	if (!amdvi_wait(u, AMDVI_STATUS, AMDVI_LOG_RUNS | AMDVI_COMMANDS_RUN, 0)) {
		return refuse_unit(r, u, "does not stop");
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
	return amdvi_flush_all(u) || refuse_unit(r, u, "does not take commands");
}

static bool enable(struct refusal *r)
{
	if (!make_tables(r)) {
		return false;
	}
	for (unsigned i = 0; i < ivrs.units; i++) {
		if (!stop(&unit[i], r) || !start(&unit[i], r)) {
			return false;
		}
	}
	log_line("AMD-Vi: on, %u unit%s, all devices blocked, interrupts %s", ivrs.units,
		 ivrs.units == 1 ? "" : "s", remapping ? "remapped" : "not remapped");
	return true;
}

/* --- domains --- */

static bool domain_create(const struct addrspace *as, struct iommu_domain **d, struct refusal *r)
{
	return iommu_domain_make(&amdvi_npt_format, 48, as, d, r);
}

static struct amdvi_function *find(uint16_t bdf)
{
	for (unsigned i = 0; i < functions; i++) {
		if (function[i].bdf == bdf) {
			return &function[i];
		}
	}
	return NULL;
}

/* The device entry that covers bdf, and whose unit it is. An exact one wins over a range. */
static const struct ivrs_device *device_of(uint16_t bdf, struct amdvi_unit **owner)
{
	const struct ivrs_device *best = NULL;

	for (unsigned i = 0; i < ivrs.units; i++) {
		const struct ivrs_unit *u = &ivrs.unit[i];

		for (unsigned n = u->first; u->segment == 0 && n < u->first + u->devices; n++) {
			const struct ivrs_device *d = &ivrs.device[n];

			if (d->kind == IVRS_SELECT && bdf >= d->first && bdf <= d->last &&
			    (!best || d->last - d->first <= best->last - best->first)) {
				best = d;
				*owner = &unit[i];
			}
		}
	}
	return best;
}

static struct amdvi_function *enter(uint16_t bdf, struct refusal *r)
{
	struct amdvi_function *f = &function[functions];
	const struct ivrs_device *d;

	if (functions == IOMMU_FUNCTIONS) {
		refuse(r, "more than %u devices belong to partitions", IOMMU_FUNCTIONS);
		return NULL;
	}
	*f = (struct amdvi_function){.bdf = bdf, .alias = bdf};
	d = device_of(bdf, &f->unit);
	if (!d) {
		refuse(r, "no AMD-Vi unit covers device %02x:%02x.%x", bdf >> 8, bdf >> 3 & 31,
		       bdf & 7);
		return NULL;
	}
	if (d->aliased) {
		f->alias = d->alias;
	}
	if (!host_alloc(PAGE_SIZE, PAGE_SIZE, &f->remap_at)) {
		refuse(r, "no memory for AMD-Vi interrupt tables");
		return NULL;
	}
	f->remap = host_ptr(f->remap_at);
	functions++;
	return f;
}

static bool honour_ranges(struct amdvi_function *f, struct iommu_domain *d, struct refusal *r)
{
	if (!d || f->reserved == d) {
		return true;
	}
	for (unsigned i = 0; i < ivrs.ranges; i++) {
		const struct ivrs_range *range = &ivrs.range[i];

		if (f->bdf >= range->first && f->bdf <= range->last &&
		    !iommu_domain_reserve(d, f->bdf, range->base, range->end, range->write, r)) {
			return false;
		}
	}
	f->reserved = d;
	return true;
}

/* Blocked while it is neither the old nor the new one: the unit may read the halves one by one. */
static bool write_entry(const struct amdvi_function *f, uint16_t bdf, uint16_t before)
{
	struct amdvi_device *e = &table[bdf];
	const struct iommu_domain *d = f->domain;
	struct amdvi_device new = entry_for(
		d, d ? amdvi_interrupts(AMDVI_INT_REMAP, f->remap_at, MSIS_LOG2)
		     : amdvi_interrupts(AMDVI_INT_ABORT, hpa(0), 0));

	__atomic_store_n(&e->translation, amdvi_translation(NULL), __ATOMIC_RELEASE);
	if (!amdvi_flush_device(f->unit, bdf, before, 0)) {
		return false;
	}
	__atomic_store_n(&e->domain, new.domain, __ATOMIC_RELEASE);
	__atomic_store_n(&e->interrupts, new.interrupts, __ATOMIC_RELEASE);
	__atomic_store_n(&e->translation, new.translation, __ATOMIC_RELEASE);
	return amdvi_flush_device(f->unit, bdf, before, (uint16_t) new.domain);
}

static bool attach(uint16_t bdf, struct iommu_domain *d, struct refusal *r)
{
	struct amdvi_function *f = find(bdf);
	uint16_t before;

	if (!f && !d) {
		return true; /* as it is from the start */
	}
	if ((!f && !(f = enter(bdf, r))) || !honour_ranges(f, d, r)) {
		return false;
	}
	before = f->domain ? f->domain->id : 0;
	f->domain = d;
	for (unsigned i = 0; i < IOMMU_MSIS; i++) {
		__atomic_store_n(&f->remap[i], 0, __ATOMIC_RELEASE);
	}
	if (!write_entry(f, bdf, before) ||
	    (f->alias != bdf && !write_entry(f, f->alias, before))) {
		return refuse_unit(r, f->unit, "does not invalidate what it has cached");
	}
	return true;
}

/* --- interrupts --- */

static bool msi(uint16_t bdf, unsigned index, uint32_t apic_id, uint8_t vector, uint64_t *address,
		uint32_t *data)
{
	const struct amdvi_function *f = find(bdf);
	uint32_t unused;

	if (!f || !f->domain || index >= IOMMU_MSIS || apic_id > 0xff) {
		return false;
	}
	if (!remapping) {
		return iommu_plain_msi(apic_id, vector, address, data);
	}
	iommu_plain_msi(0, 0, address, &unused);
	*data = index;
	__atomic_store_n(&f->remap[index], amdvi_remap_entry(apic_id, vector), __ATOMIC_RELEASE);
	return amdvi_flush_interrupts(f->unit, f->alias);
}

static bool ioapic(uint8_t id, unsigned pin, uint32_t apic_id, uint8_t vector, bool level,
		   uint64_t *entry)
{
	bool ok = true;
	uint16_t bdf;

	if (!remapping) {
		return iommu_plain_ioapic(apic_id, vector, level, entry);
	}
	if (!amdvi_pin_set(id, pin, apic_id, vector, level, entry, &bdf)) {
		return false;
	}
	for (unsigned i = 0; i < ivrs.units; i++) {
		ok = ok && (unit[i].acpi->segment != 0 || amdvi_flush_interrupts(&unit[i], bdf));
	}
	return ok;
}

/* --- events --- */

static bool take_fault(struct iommu_fault *f)
{
	for (unsigned i = 0; i < ivrs.units; i++) {
		if (amdvi_take_event(&unit[i], f)) {
			return true;
		}
	}
	return false;
}

static void fault_interrupt(uint32_t apic_id, uint8_t vector)
{
	for (unsigned i = 0; i < ivrs.units; i++) {
		amdvi_event_route(&unit[i], apic_id, vector);
	}
}

static bool registers(unsigned index, uint64_t *base, uint64_t *size)
{
	if (index >= ivrs.units) {
		return false;
	}
	*base = unit[index].acpi->base.v;
	*size = unit[index].ext & AMDVI_EXT_COUNTERS ? AMDVI_COUNTERS_END : AMDVI_REGISTERS;
	return true;
}

const struct iommu_ops amdvi_ops = {
	.name = "AMD-Vi",
	.enable = enable,
	.domain_create = domain_create,
	.attach = attach,
	.msi = msi,
	.ioapic = ioapic,
	.take_fault = take_fault,
	.fault_interrupt = fault_interrupt,
	.registers = registers,
};
