/*
 * AMD-Vi: domains, devices and what they send. Called through amdvi_ops; owner of the devices'
 * interrupt tables. A device's entry is changed by the boot CPU or by the CPU of the partition that
 * owns it.
 */
#include "drivers/amdvi.h"
#include "hv/host.h"
#include "hv/log.h"
#include "hv/pci_group.h"

/* An interrupt table is a page: for functions whose requests carry one id, a part for each. */
enum { MSIS_LOG2 = 10, PARTS = 4 };
_Static_assert(1 << MSIS_LOG2 == PARTS * IOMMU_MSIS, "an interrupt table");
_Static_assert(sizeof(uint32_t) << MSIS_LOG2 == PAGE_SIZE, "its entries");

/* The interrupts of a function in iommu_function. */
static struct amdvi_remaps {
	hpa_t table_at;
	uint32_t *table;
	uint32_t *entry; /* the first of its IOMMU_MSIS in it */
} remaps[IOMMU_FUNCTIONS];

static struct amdvi_remaps *remaps_of(const struct iommu_function *f)
{
	return &remaps[f - iommu_function];
}

/* --- domains --- */

bool amdvi_domain_create(const struct addrspace *as, struct iommu_domain **d, struct refusal *r)
{
	return iommu_domain_make(&amdvi_npt_format, 48, as, d, r);
}

/* What cannot be honoured is blocked: a device may then stop working, but harms nobody. */
void amdvi_honour_firmware(void)
{
	struct iommu_domain *d;
	struct refusal r = {""};

	if (amdvi.ivrs.ranges && !iommu_domain_firmware(&amdvi_npt_format, &d, &r)) {
		log_line("AMD-Vi: %s", r.text);
		return;
	}
	for (unsigned i = 0; i < amdvi.ivrs.ranges; i++) {
		const struct ivrs_range *range = &amdvi.ivrs.range[i];

		if (!iommu_domain_reserve(d, range->first, range->base, range->end, range->write,
					  &r)) {
			log_line("AMD-Vi: %s; that is blocked", r.text);
			continue;
		}
		for (unsigned bdf = range->first; bdf <= range->last; bdf++) {
			amdvi.table[bdf].translation = amdvi_translation(d);
			amdvi.table[bdf].domain = d->id;
		}
	}
}

/* The device entry that covers bdf, and whose unit it is, or -1. An exact one wins over a range. */
static const struct ivrs_device *device_of(uint16_t bdf, int *unit)
{
	const struct ivrs_device *best = NULL;

	*unit = -1;
	for (unsigned i = 0; i < amdvi.ivrs.units; i++) {
		const struct ivrs_unit *u = &amdvi.ivrs.unit[i];

		for (unsigned n = u->first; u->segment == 0 && n < u->first + u->devices; n++) {
			const struct ivrs_device *d = &amdvi.ivrs.device[n];

			if (d->kind == IVRS_SELECT && bdf >= d->first && bdf <= d->last &&
			    (!best || d->last - d->first <= best->last - best->first)) {
				best = d;
				*unit = (int)i;
			}
		}
	}
	return best;
}

/* The interrupt table: that of another function whose requests carry the same id, or a new one. */
static bool give_table(const struct iommu_function *f, struct refusal *r)
{
	struct amdvi_remaps *m = remaps_of(f);
	unsigned parts = 0;

	*m = (struct amdvi_remaps){.table = NULL};
	for (unsigned i = 0; i < iommu_functions; i++) {
		if (&iommu_function[i] != f && iommu_function[i].carried == f->carried) {
			*m = remaps[i];
			parts++;
		}
	}
	if (parts == PARTS) {
		return refuse(r, "more than %u devices behind the bridge of %02x:%02x.%x", PARTS,
			      BDF_PARTS(f->bdf));
	}
	if (!m->table && !host_alloc(PAGE_SIZE, PAGE_SIZE, &m->table_at)) {
		return refuse(r, "no memory for AMD-Vi interrupt tables");
	}
	m->table = host_ptr(m->table_at);
	m->entry = m->table + parts * IOMMU_MSIS;
	return true;
}

static struct iommu_function *enter(uint16_t bdf, struct refusal *r)
{
	int unit;
	const struct ivrs_device *d = device_of(bdf, &unit);
	struct iommu_function *f = iommu_enter(bdf, unit, r);

	if (f && d->aliased) { /* firmware knows it better than the bridges say */
		f->carried = d->alias;
	}
	if (f && !give_table(f, r)) {
		iommu_functions--;
		return NULL;
	}
	return f;
}

static bool honour_ranges(struct iommu_function *f, struct iommu_domain *d, struct refusal *r)
{
	if (!d || f->reserved == d) {
		return true;
	}
	for (unsigned i = 0; i < amdvi.ivrs.ranges; i++) {
		const struct ivrs_range *range = &amdvi.ivrs.range[i];

		if (f->bdf >= range->first && f->bdf <= range->last &&
		    !iommu_domain_reserve(d, f->bdf, range->base, range->end, range->write, r)) {
			return false;
		}
	}
	f->reserved = d;
	return true;
}

/* Blocked while it is neither the old nor the new one: the unit may read the halves one by one. */
static bool write_entry(const struct iommu_function *f, uint16_t bdf, uint16_t before)
{
	struct amdvi_device *e = &amdvi.table[bdf];
	const struct iommu_domain *d = f->domain;
	struct amdvi_device new = amdvi_entry(
		d, d ? amdvi_interrupts(AMDVI_INT_REMAP, remaps_of(f)->table_at, MSIS_LOG2)
		     : amdvi_interrupts(AMDVI_INT_ABORT, hpa(0), 0));

	__atomic_store_n(&e->translation, amdvi_translation(NULL), __ATOMIC_RELEASE);
	if (!amdvi_flush_device(&amdvi.unit[f->unit], bdf, before, 0)) {
		return false;
	}
	__atomic_store_n(&e->domain, new.domain, __ATOMIC_RELEASE);
	__atomic_store_n(&e->interrupts, new.interrupts, __ATOMIC_RELEASE);
	__atomic_store_n(&e->translation, new.translation, __ATOMIC_RELEASE);
	return amdvi_flush_device(&amdvi.unit[f->unit], bdf, before, (uint16_t) new.domain);
}

/*
 * An entry of the device table is one guest's. Functions behind a bridge are given away together,
 * but that an IVRS has two functions send with one id is known here only.
 */
static bool check_alias(const struct iommu_function *f, const struct iommu_domain *d,
			struct refusal *r)
{
	for (unsigned i = 0; d && i < iommu_functions; i++) {
		const struct iommu_function *o = &iommu_function[i];

		if (o != f && o->domain && o->domain != d &&
		    (o->carried == f->carried || o->bdf == f->carried || o->carried == f->bdf)) {
			return refuse(r,
				      "devices %02x:%02x.%x and %02x:%02x.%x send with one id, and "
				      "another guest has the second",
				      BDF_PARTS(f->bdf), BDF_PARTS(o->bdf));
		}
	}
	return true;
}

bool amdvi_attach(uint16_t bdf, struct iommu_domain *d, struct refusal *r)
{
	struct iommu_function *f = iommu_find(bdf);
	uint16_t before;

	if (!f && !d) {
		return true; /* as it is from the start */
	}
	if ((!f && !(f = enter(bdf, r))) || !check_alias(f, d, r) || !honour_ranges(f, d, r)) {
		return false;
	}
	before = f->domain ? f->domain->id : 0;
	f->domain = d;
	for (unsigned i = 0; i < IOMMU_MSIS; i++) {
		__atomic_store_n(&remaps_of(f)->entry[i], 0, __ATOMIC_RELEASE);
	}
	if (!write_entry(f, bdf, before) || (f->carried != bdf && (d || !iommu_is_shared(f)) &&
					     !write_entry(f, f->carried, before))) {
		return amdvi_refuse(r, &amdvi.unit[f->unit],
				    "does not invalidate what it has cached");
	}
	return true;
}

void amdvi_quiet(uint16_t bdf)
{
	struct amdvi_device *e = &amdvi.table[bdf];
	int unit;

	if (device_of(bdf, &unit)) {
		/* Its guest's CPU may block it at the same time. */
		__atomic_fetch_or(&e->domain, AMDVI_QUIET, __ATOMIC_RELEASE);
		amdvi_flush_device(&amdvi.unit[unit], bdf, 0, 0);
	}
}

/* --- interrupts --- */

bool amdvi_msi(uint16_t bdf, unsigned index, uint32_t apic_id, uint8_t vector, uint64_t *address,
	       uint32_t *data)
{
	const struct iommu_function *f = iommu_find(bdf);
	const struct amdvi_remaps *m;
	uint32_t unused;

	if (!f || !f->domain || index >= IOMMU_MSIS || apic_id > 0xff) {
		return false;
	}
	if (!amdvi.remapping) {
		return iommu_plain_msi(apic_id, vector, address, data);
	}
	iommu_plain_msi(0, 0, address, &unused);
	m = remaps_of(f);
	*data = (uint32_t)(m->entry - m->table) + index;
	__atomic_store_n(&m->entry[index], amdvi_remap_entry(apic_id, vector), __ATOMIC_RELEASE);
	return amdvi_flush_interrupts(&amdvi.unit[f->unit], f->carried);
}

bool amdvi_pin(uint8_t id, unsigned pin, uint32_t apic_id, uint8_t vector, bool level,
	       uint64_t *entry)
{
	bool ok = true;
	uint16_t bdf;

	if (!amdvi.remapping) {
		return iommu_plain_ioapic(apic_id, vector, level, entry);
	}
	if (!amdvi_pin_set(id, pin, apic_id, vector, level, entry, &bdf)) {
		return false;
	}
	for (unsigned i = 0; i < amdvi.ivrs.units; i++) {
		ok = ok && (amdvi.unit[i].acpi->segment != 0 ||
			    amdvi_flush_interrupts(&amdvi.unit[i], bdf));
	}
	return ok;
}
