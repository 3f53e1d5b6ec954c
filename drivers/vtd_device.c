/*
 * VT-d: domains, devices and what they send. Called through vtd_ops; owner of the context tables
 * and the interrupt entries. An entry is changed by the boot CPU or by the CPU of the partition
 * that owns the device.
 */
#include "arch/x86_64/asm.h"
#include "drivers/vtd.h"
#include "hv/host.h"
#include "hv/log.h"

/* --- domains --- */

bool vtd_domain_create(const struct addrspace *as, struct iommu_domain **d, struct refusal *r)
{
	if (!iommu_domain_make(&vtd.format, vtd.address_bits, as, d, r)) {
		return false;
	}
	if (!vtd.coherent) {
		wbinvd(); /* the tables are many pages, and no guest runs yet */
	}
	return true;
}

static bool honour_ranges(struct iommu_function *f, struct iommu_domain *d, struct refusal *r)
{
	if (!d || f->reserved == d) {
		return true;
	}
	for (unsigned i = 0; i < vtd.dmar.ranges; i++) {
		const struct dmar_range *range = &vtd.dmar.range[i];

		if (range->segment == 0 && vtd_covers(&vtd.dmar, &range->scopes, f->bdf) &&
		    !iommu_domain_reserve(d, f->bdf, range->base, range->end, true, r)) {
			return false;
		}
	}
	if (!vtd.coherent && vtd.dmar.ranges) {
		wbinvd();
	}
	f->reserved = d;
	return true;
}

/* The function's context entry; its table is made when there is none. */
static struct vtd_pair *context_of(uint16_t bdf, struct refusal *r)
{
	struct vtd_pair *bus = &vtd.root[bdf >> 8], *table;
	hpa_t at = hpa(bus->low & ~PAGE_MASK);

	if (!(bus->low & VTD_PRESENT)) {
		if (!host_alloc(PAGE_SIZE, PAGE_SIZE, &at)) {
			refuse(r, "no memory for VT-d tables");
			return NULL;
		}
		vtd_write_back(host_ptr(at), PAGE_SIZE);
		bus->low = at.v | VTD_PRESENT;
		vtd_write_back(bus, sizeof(*bus));
	}
	table = host_ptr(at);
	return &table[bdf & 0xff];
}

static void write_context(struct vtd_pair *c, struct vtd_pair entry)
{
	/* The half with the present bit comes first when it goes, and last when it comes. */
	__atomic_store_n(&c->low, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&c->high, entry.high, __ATOMIC_RELEASE);
	__atomic_store_n(&c->low, entry.low, __ATOMIC_RELEASE);
	vtd_write_back(c, sizeof(*c));
}

/* What cannot be honoured is blocked: a device may then stop working, but harms nobody. */
static void honour(struct iommu_domain *d, const struct dmar_range *range, uint16_t bdf)
{
	struct vtd_pair *c;
	struct refusal r = {""};

	if (!iommu_domain_reserve(d, bdf, range->base, range->end, true, &r) ||
	    !(c = context_of(bdf, &r))) {
		log_line("VT-d: %s; that is blocked", r.text);
		return;
	}
	write_context(c, vtd_context_entry(d));
}

void vtd_honour_firmware(void)
{
	struct iommu_domain *d;
	struct refusal r = {""};

	if (vtd.dmar.ranges && !iommu_domain_firmware(&vtd.format, &d, &r)) {
		log_line("VT-d: %s", r.text);
		return;
	}
	for (unsigned i = 0; i < vtd.dmar.ranges; i++) {
		const struct dmar_range *range = &vtd.dmar.range[i];

		for (unsigned n = 0; range->segment == 0 && n < range->scopes.count; n++) {
			uint16_t bdf;

			if (vtd_endpoint(&vtd.dmar, range->scopes.first + n, &bdf)) {
				honour(d, range, bdf);
			}
		}
	}
	if (!vtd.coherent && vtd.dmar.ranges) {
		wbinvd();
	}
}

static bool write_contexts(const struct iommu_function *f, struct refusal *r)
{
	struct vtd_pair entry = f->domain ? vtd_context_entry(f->domain) : (struct vtd_pair){0};
	struct vtd_pair *own = context_of(f->bdf, r), *carried = context_of(f->carried, r);

	if (!own || !carried) {
		return false;
	}
	if (own != carried && (f->domain || !iommu_is_shared(f))) {
		write_context(carried, entry);
	}
	write_context(own, entry);
	return true;
}

static struct vtd_pair *remaps_of(const struct iommu_function *f)
{
	return &vtd.remap[VTD_LEGACY_INDEX + (unsigned)(f - iommu_function) * IOMMU_MSIS];
}

static bool forget_interrupts(const struct iommu_function *f)
{
	bool any = false;

	for (unsigned i = 0; vtd.remapping && i < IOMMU_MSIS; i++) {
		struct vtd_pair *e = &remaps_of(f)[i];

		any |= e->low != 0;
		__atomic_store_n(&e->low, 0, __ATOMIC_RELEASE);
	}
	if (any) {
		vtd_write_back(remaps_of(f), IOMMU_MSIS * sizeof(struct vtd_pair));
	}
	return !any || vtd_flush_remap(&vtd.unit[f->unit], UINT32_MAX);
}

bool vtd_attach(uint16_t bdf, struct iommu_domain *d, struct refusal *r)
{
	struct iommu_function *f = iommu_find(bdf);
	uint16_t before;

	if (!f && !d) {
		return true; /* as it is from the start */
	}
	if ((!f && !(f = iommu_enter(bdf, vtd_unit_of(&vtd.dmar, bdf), r))) ||
	    !honour_ranges(f, d, r)) {
		return false;
	}
	before = f->domain ? f->domain->id : 0;
	f->domain = d;
	if (!write_contexts(f, r)) {
		f->domain = NULL;
		return false;
	}
	if (!vtd_flush_domains(&vtd.unit[f->unit], before, d ? d->id : 0) ||
	    !forget_interrupts(f)) {
		return vtd_refuse(r, &vtd.unit[f->unit], "does not invalidate what it has cached");
	}
	return true;
}

void vtd_quiet(uint16_t bdf)
{
	struct refusal r = {0};
	int covering = vtd_unit_of(&vtd.dmar, bdf);
	struct vtd_pair *c = covering < 0 ? NULL : context_of(bdf, &r);

	if (c) {
		/* Its guest's CPU may block it at the same time. */
		__atomic_fetch_or(&c->low, VTD_QUIET, __ATOMIC_RELEASE);
		vtd_write_back(c, sizeof(*c));
		vtd_flush_domains(&vtd.unit[covering], 0, 0);
	}
}

/* --- interrupts --- */

static bool set_remap(struct vtd_unit *u, uint32_t index, struct vtd_pair entry)
{
	struct vtd_pair *e = &vtd.remap[index];
	/* Or on its way: what a write buffer still holds the unit does not see. */
	bool cached = e->low || (u->cap & (VTD_CAP_CACHING | VTD_CAP_WRITE_BUFFER));

	/* The requester comes first; the half with vector and CPU changes at once. */
	__atomic_store_n(&e->high, entry.high, __ATOMIC_RELEASE);
	__atomic_store_n(&e->low, entry.low, __ATOMIC_RELEASE);
	vtd_write_back(e, sizeof(*e));
	return !cached || vtd_flush_remap(u, index);
}

bool vtd_msi(uint16_t bdf, unsigned index, uint32_t apic_id, uint8_t vector, uint64_t *address,
	     uint32_t *data)
{
	const struct iommu_function *f = iommu_find(bdf);
	uint32_t first;

	if (!f || !f->domain || index >= IOMMU_MSIS || (!vtd.x2apic && apic_id > 0xff)) {
		return false;
	}
	if (!vtd.remapping) {
		return iommu_plain_msi(apic_id, vector, address, data);
	}
	first = (uint32_t)(remaps_of(f) - vtd.remap);
	*address = vtd_message_address(first);
	*data = index;
	return set_remap(&vtd.unit[f->unit], first + index,
			 vtd_remap_entry(vtd_remap_source(bdf, f->carried), apic_id, vector, false,
					 vtd.x2apic));
}

/* The unit of an I/O APIC is not looked up: interrupts of pins change at boot and seldom. */
bool vtd_pin(uint8_t id, unsigned pin, uint32_t apic_id, uint8_t vector, bool level,
	     uint64_t *entry)
{
	unsigned ordinal;
	uint64_t verify;
	uint32_t index;
	bool ok = true;
	int source;

	if (!vtd.remapping) {
		return iommu_plain_ioapic(apic_id, vector, level, entry);
	}
	source = vtd_ioapic(&vtd.dmar, id, &ordinal);
	if (source < 0 || pin > 0xff || (!vtd.x2apic && apic_id > 0xff)) {
		return false;
	}
	verify = vtd_remap_source((uint16_t)source, (uint16_t)source);
	index = ordinal << 8 | pin;
	*entry = vtd_pin_entry(index, vector, level);
	for (unsigned i = 0; i < vtd.dmar.units; i++) {
		ok = ok && set_remap(&vtd.unit[i], index,
				     vtd_remap_entry(verify, apic_id, vector, level, vtd.x2apic));
	}
	return ok;
}
