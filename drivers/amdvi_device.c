/*
 * AMD-Vi: domains, devices and what they send. Called through amdvi_ops; owner of the devices'
 * interrupt tables. A device's entry is changed by the boot CPU or by the CPU of the partition that
 * owns it.
 */
#include "drivers/amdvi.h"
#include "hv/host.h"
#include "hv/pci_group.h"

/* An interrupt table is a page: for functions whose requests carry one id, a part for each. */
enum { MSIS_LOG2 = 10, PARTS = 4 };
_Static_assert(1 << MSIS_LOG2 == PARTS * IOMMU_MSIS, "an interrupt table");
_Static_assert(sizeof(uint32_t) << MSIS_LOG2 == PAGE_SIZE, "its entries");

/* A function that some partition owned once. Entered by the boot CPU, never removed. */
struct amdvi_function {
	uint16_t bdf, alias; /* its requests carry alias */
	struct amdvi_unit *unit;
	struct iommu_domain *domain;   /* NULL: it reaches nothing */
	struct iommu_domain *reserved; /* holds the ranges that firmware reserved for it */
	hpa_t remap_at;
	uint32_t *remap; /* the table */
	unsigned first;	 /* of IOMMU_MSIS entries in it */
};

static struct amdvi_function function[IOMMU_FUNCTIONS];

/* --- domains --- */

bool amdvi_domain_create(const struct addrspace *as, struct iommu_domain **d, struct refusal *r)
{
	return iommu_domain_make(&amdvi_npt_format, 48, as, d, r);
}

static struct amdvi_function *find(uint16_t bdf)
{
	for (unsigned i = 0; i < amdvi.functions; i++) {
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

	for (unsigned i = 0; i < amdvi.ivrs.units; i++) {
		const struct ivrs_unit *u = &amdvi.ivrs.unit[i];

		for (unsigned n = u->first; u->segment == 0 && n < u->first + u->devices; n++) {
			const struct ivrs_device *d = &amdvi.ivrs.device[n];

			if (d->kind == IVRS_SELECT && bdf >= d->first && bdf <= d->last &&
			    (!best || d->last - d->first <= best->last - best->first)) {
				best = d;
				*owner = &amdvi.unit[i];
			}
		}
	}
	return best;
}

/* The interrupt table: that of another function whose requests carry the same id, or a new one. */
static bool give_table(struct amdvi_function *f, struct refusal *r)
{
	for (unsigned i = 0; i < amdvi.functions; i++) {
		if (function[i].alias == f->alias) {
			f->remap_at = function[i].remap_at;
			f->remap = function[i].remap;
			f->first += IOMMU_MSIS;
		}
	}
	if (f->first == PARTS * IOMMU_MSIS) {
		return refuse(r, "more than %u devices behind the bridge of %02x:%02x.%x", PARTS,
			      BDF_PARTS(f->bdf));
	}
	if (!f->remap && !host_alloc(PAGE_SIZE, PAGE_SIZE, &f->remap_at)) {
		return refuse(r, "no memory for AMD-Vi interrupt tables");
	}
	f->remap = host_ptr(f->remap_at);
	return true;
}

static struct amdvi_function *enter(uint16_t bdf, struct refusal *r)
{
	struct amdvi_function *f = &function[amdvi.functions];
	const struct ivrs_device *d;

	if (amdvi.functions == IOMMU_FUNCTIONS) {
		refuse(r, "more than %u devices belong to partitions", IOMMU_FUNCTIONS);
		return NULL;
	}
	*f = (struct amdvi_function){.bdf = bdf, .alias = pci_requester(bdf)};
	d = device_of(bdf, &f->unit);
	if (!d) {
		refuse(r, "no AMD-Vi unit covers device %02x:%02x.%x", BDF_PARTS(bdf));
		return NULL;
	}
	if (d->aliased) { /* firmware knows it better than the bridges say */
		f->alias = d->alias;
	}
	if (!give_table(f, r)) {
		return NULL;
	}
	amdvi.functions++;
	return f;
}

static bool honour_ranges(struct amdvi_function *f, struct iommu_domain *d, struct refusal *r)
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
static bool write_entry(const struct amdvi_function *f, uint16_t bdf, uint16_t before)
{
	struct amdvi_device *e = &amdvi.table[bdf];
	const struct iommu_domain *d = f->domain;
	struct amdvi_device new = amdvi_entry(
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

/* Has another function a domain whose requests carry the same id? It is of the same guest. */
static bool is_shared(const struct amdvi_function *f)
{
	for (unsigned i = 0; i < amdvi.functions; i++) {
		if (&function[i] != f && function[i].domain && function[i].alias == f->alias) {
			return true;
		}
	}
	return false;
}

/*
 * An entry of the device table is one guest's. Functions behind a bridge are given away together,
 * but that an IVRS has two functions send with one id is known here only.
 */
static bool check_alias(const struct amdvi_function *f, const struct iommu_domain *d,
			struct refusal *r)
{
	for (unsigned i = 0; d && i < amdvi.functions; i++) {
		const struct amdvi_function *o = &function[i];

		if (o != f && o->domain && o->domain != d &&
		    (o->alias == f->alias || o->bdf == f->alias || o->alias == f->bdf)) {
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
	struct amdvi_function *f = find(bdf);
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
		__atomic_store_n(&f->remap[f->first + i], 0, __ATOMIC_RELEASE);
	}
	if (!write_entry(f, bdf, before) ||
	    (f->alias != bdf && (d || !is_shared(f)) && !write_entry(f, f->alias, before))) {
		return amdvi_refuse(r, f->unit, "does not invalidate what it has cached");
	}
	return true;
}

bool amdvi_owned(uint16_t bdf)
{
	for (unsigned i = 0; i < amdvi.functions; i++) {
		if ((function[i].bdf == bdf || function[i].alias == bdf) && function[i].domain) {
			return true;
		}
	}
	return false;
}

void amdvi_quiet(uint16_t bdf)
{
	struct amdvi_device *e = &amdvi.table[bdf];
	struct amdvi_unit *u;

	if (device_of(bdf, &u)) {
		/* Its guest's CPU may block it at the same time. */
		__atomic_fetch_or(&e->domain, AMDVI_QUIET, __ATOMIC_RELEASE);
		amdvi_flush_device(u, bdf, 0, 0);
	}
}

/* --- interrupts --- */

bool amdvi_msi(uint16_t bdf, unsigned index, uint32_t apic_id, uint8_t vector, uint64_t *address,
	       uint32_t *data)
{
	const struct amdvi_function *f = find(bdf);
	uint32_t unused;

	if (!f || !f->domain || index >= IOMMU_MSIS || apic_id > 0xff) {
		return false;
	}
	if (!amdvi.remapping) {
		return iommu_plain_msi(apic_id, vector, address, data);
	}
	iommu_plain_msi(0, 0, address, &unused);
	*data = f->first + index;
	__atomic_store_n(&f->remap[f->first + index], amdvi_remap_entry(apic_id, vector),
			 __ATOMIC_RELEASE);
	return amdvi_flush_interrupts(f->unit, f->alias);
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
