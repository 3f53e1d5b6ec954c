/*
 * VT-d behind hv/iommu.h: bring-up, contexts, interrupt entries. Called through vtd_ops.
 *
 * All units of segment 0 read the same root table: each meets only its own devices' entries. Owner
 * of the tables; an entry is changed by the boot CPU or by the CPU of the partition that owns the
 * device.
 */
#include "drivers/vtd.h"
#include "arch/x86_64/asm.h"
#include "hv/host.h"
#include "hv/log.h"

/* A function that some partition owned once. Entered by the boot CPU, never removed. */
struct vtd_function {
	uint16_t bdf;
	struct vtd_unit *unit;
	struct iommu_domain *domain;   /* NULL: it reaches nothing */
	struct iommu_domain *reserved; /* holds the ranges that firmware reserved for it */
};

static struct dmar_info dmar;
static struct vtd_unit unit[DMAR_UNITS];
static struct vtd_function function[IOMMU_FUNCTIONS];
static unsigned functions;
static struct npt_format format;
static unsigned address_bits; /* of a DMA address, on every unit */
static bool coherent, remapping, x2apic;
static hpa_t root_at, empty_root_at, remap_at;
static struct vtd_pair *root, *remap;

/* --- registers --- */

uint64_t vtd_read(const struct vtd_unit *u, unsigned offset, unsigned size)
{
	return host_mmio_read(u->at + offset, size);
}

void vtd_write(const struct vtd_unit *u, unsigned offset, unsigned size, uint64_t value)
{
	host_mmio_write((volatile uint8_t *)u->at + offset, size, value);
}

bool vtd_wait(const struct vtd_unit *u, unsigned offset, unsigned size, uint64_t mask,
	      uint64_t want)
{
	uint64_t limit = host_tsc() + host_tsc_hz;

	while ((vtd_read(u, offset, size) & mask) != want) {
		if (host_tsc() > limit) {
			return false;
		}
		host_relax();
	}
	return true;
}

bool vtd_command(const struct vtd_unit *u, uint32_t command, bool on)
{
	uint32_t lasting = (uint32_t)vtd_read(u, VTD_STATUS, 4) & VTD_LASTING;

	vtd_write(u, VTD_COMMAND, 4, on ? lasting | command : lasting & ~command);
	/* A flush of write buffers is done when its bit is clear again. */
	return vtd_wait(u, VTD_STATUS, 4, command, on && command != VTD_FLUSH_WRITES ? command : 0);
}

/* --- finding out --- */

static bool refuse_unit(struct refusal *r, const struct vtd_unit *u, const char *why)
{
	return refuse(r,
		      "the VT-d unit at 0x%llx %s; `iommu=off` on Mullion's command line starts "
		      "without it",
		      (unsigned long long)u->acpi->base.v, why);
}

static unsigned register_bytes(const struct vtd_unit *u)
{
	unsigned faults = (unsigned)(field_get(VTD_CAP_FAULT_OFFSET, u->cap) +
				     field_get(VTD_CAP_FAULTS, u->cap) + 1);
	unsigned iotlb = (unsigned)field_get(VTD_EXT_IOTLB_OFFSET, u->ext) + 1;

	return ALIGN_UP((faults > iotlb ? faults : iotlb) * 16, PAGE_SIZE);
}

static bool map_unit(struct vtd_unit *u, struct refusal *r)
{
	u->at = host_map_mmio(u->acpi->base, PAGE_SIZE);
	u->cap = vtd_read(u, VTD_CAPABILITY, 8);
	u->ext = vtd_read(u, VTD_EXTENDED, 8);
	if (u->cap == UINT64_MAX || !u->cap) {
		return refuse_unit(r, u, "does not answer");
	}
	if (register_bytes(u) > PAGE_SIZE) {
		u->at = host_map_mmio(u->acpi->base, register_bytes(u));
	}
	return true;
}

static void log_unit(const struct vtd_unit *u)
{
	unsigned version = (unsigned)vtd_read(u, VTD_VERSION, 4);
	struct npt_format f = vtd_npt_format(u->cap, u->ext);

	log_line("VT-d: unit at 0x%lx: version %u.%u, %u-bit addresses, %u levels, pages to %s, "
		 "%s invalidation%s%s%s%s",
		 u->acpi->base.v, version >> 4 & 15, version & 15,
		 (unsigned)field_get(VTD_CAP_GUEST_ADDRESS, u->cap) + 1, f.levels,
		 f.gib_leaves	  ? "1 GiB"
		 : f.small_leaves ? "4 KiB"
				  : "2 MiB",
		 u->ext & VTD_EXT_QUEUE ? "queued" : "register",
		 u->ext & VTD_EXT_REMAP ? ", interrupt remapping" : "",
		 u->ext & VTD_EXT_COHERENT ? ", coherent" : "",
		 u->cap & VTD_CAP_CACHING ? ", caching mode" : "",
		 u->ext & VTD_EXT_SCALABLE ? ", scalable mode (not used)" : "");
}

/* What all units can do. */
static bool combine(struct refusal *r)
{
	uint64_t cap = UINT64_MAX, ext = UINT64_MAX;

	address_bits = 64;
	for (unsigned i = 0; i < dmar.units; i++) {
		unsigned bits = (unsigned)field_get(VTD_CAP_GUEST_ADDRESS, unit[i].cap) + 1;

		if (4 + 2 * field_get(VTD_CAP_DOMAINS, unit[i].cap) < 5) {
			return refuse_unit(r, &unit[i], "has too few domains");
		}
		address_bits = bits < address_bits ? bits : address_bits;
		cap &= unit[i].cap;
		ext &= unit[i].ext;
	}
	format = vtd_npt_format(cap, ext);
	coherent = ext & VTD_EXT_COHERENT;
	remapping = dmar.remaps_interrupts && (ext & VTD_EXT_REMAP) && (ext & VTD_EXT_QUEUE) &&
		    (!x2apic || (ext & VTD_EXT_X2APIC));
	return format.levels ||
	       refuse_unit(r, &unit[0], "has no second-level translation for legacy mode");
}

/* Remapping is all or nothing: a pin that it does not know would be silent. */
static void check_ioapics(const struct acpi_info *a)
{
	for (unsigned i = 0; remapping && i < a->ioapics; i++) {
		unsigned ordinal;

		if (vtd_ioapic(&dmar, (uint8_t)a->ioapic[i].id, &ordinal) < 0 ||
		    ordinal >= ACPI_IOAPICS) {
			log_line("VT-d: the DMAR does not list I/O APIC %u: interrupts are not "
				 "remapped",
				 a->ioapic[i].id);
			remapping = false;
		}
	}
}

bool vtd_probe(const struct iommu_machine *m, struct refusal *r)
{
	functions = 0;
	x2apic = m->x2apic;
	if (!acpi_parse_dmar(&dmar, m->acpi, m->map, m->map_ctx, r)) {
		return false;
	}
	for (unsigned i = 0; i < dmar.units; i++) {
		unit[i] = (struct vtd_unit){.acpi = &dmar.unit[i]};
		if (!map_unit(&unit[i], r)) {
			return false;
		}
		log_unit(&unit[i]);
	}
	vtd_resolve(&dmar);
	if (!combine(r)) {
		return false;
	}
	check_ioapics(m->acpi);
	return true;
}

/* --- taking over --- */

static void write_back(const void *p, size_t size)
{
	if (!coherent) {
		iommu_flush(p, size);
	}
}

static bool make_tables(struct refusal *r)
{
	if (!host_alloc(PAGE_SIZE, PAGE_SIZE, &root_at) ||
	    !host_alloc(PAGE_SIZE, PAGE_SIZE, &empty_root_at) ||
	    (remapping && !host_alloc(VTD_REMAPS * sizeof(struct vtd_pair),
				      VTD_REMAPS * sizeof(struct vtd_pair), &remap_at))) {
		return refuse(r, "no memory for VT-d tables");
	}
	root = host_ptr(root_at);
	write_back(root, PAGE_SIZE);
	write_back(host_ptr(empty_root_at), PAGE_SIZE);
	if (remapping) {
		remap = host_ptr(remap_at);
		write_back(remap, VTD_REMAPS * sizeof(struct vtd_pair));
	}
	return true;
}

/*
 * Translation that firmware left on stays on while the tables change under it, so that there is no
 * moment in which devices reach everything. Interrupt remapping must be off before the queue is.
 */
static bool take_over(struct vtd_unit *u, struct refusal *r)
{
	uint32_t status = (uint32_t)vtd_read(u, VTD_STATUS, 4);

	if (status & (VTD_TRANSLATE | VTD_QUEUE | VTD_REMAP)) {
		log_line("VT-d: unit at 0x%lx: firmware left%s%s%s on", u->acpi->base.v,
			 status & VTD_TRANSLATE ? " translation" : "",
			 status & VTD_QUEUE ? " its queue" : "",
			 status & VTD_REMAP ? " interrupt remapping" : "");
	}
	vtd_fault_route(u, 0, 0);
	if (status & VTD_REMAP && !vtd_command(u, VTD_REMAP, false)) {
		return refuse_unit(r, u, "does not stop interrupt remapping");
	}
	if (!vtd_queue_stop(u)) {
		return refuse_unit(r, u, "does not stop firmware's invalidation queue");
	}
	vtd_clear_faults(u);
	return vtd_queue_start(u, r);
}

static bool translate(struct vtd_unit *u, struct refusal *r)
{
	uint64_t at = u->acpi->segment == 0 ? root_at.v : empty_root_at.v;

	vtd_write(u, VTD_ROOT_TABLE, 8, at); /* type 0: legacy mode */
	if (!vtd_command(u, VTD_SET_ROOT, true) || !vtd_flush_all(u) ||
	    !vtd_command(u, VTD_TRANSLATE, true)) {
		return refuse_unit(r, u, "does not turn translation on");
	}
	if (u->cap & VTD_CAP_PROTECTED) {
		vtd_write(u, VTD_PROTECTED, 4, 0);
		if (!vtd_wait(u, VTD_PROTECTED, 4, VTD_PROTECTED_STATUS, 0)) {
			return refuse_unit(r, u, "does not turn its protected memory regions off");
		}
	}
	return true;
}

static bool remap_interrupts(struct vtd_unit *u, struct refusal *r)
{
	enum { SIZE = 15 /* 2^16 entries */ };

	vtd_write(u, VTD_REMAP_TABLE, 8, remap_at.v | SIZE | (x2apic ? VTD_REMAP_X2APIC : 0));
	if (!vtd_command(u, VTD_SET_REMAP, true) || !vtd_flush_remap(u, UINT32_MAX) ||
	    !vtd_command(u, VTD_REMAP, true)) {
		return refuse_unit(r, u, "does not turn interrupt remapping on");
	}
	return true;
}

static bool enable(struct refusal *r)
{
	if (!make_tables(r)) {
		return false;
	}
	for (unsigned i = 0; i < dmar.units; i++) {
		if (!take_over(&unit[i], r) || !translate(&unit[i], r)) {
			return false;
		}
	}
	for (unsigned i = 0; remapping && i < dmar.units; i++) {
		if (!remap_interrupts(&unit[i], r)) {
			return false;
		}
	}
	log_line("VT-d: on, %u unit%s, all devices blocked, interrupts %s", dmar.units,
		 dmar.units == 1 ? "" : "s", remapping ? "remapped" : "not remapped");
	return true;
}

/* --- domains --- */

static bool domain_create(const struct addrspace *as, struct iommu_domain **d, struct refusal *r)
{
	if (!iommu_domain_make(&format, address_bits, as, d, r)) {
		return false;
	}
	if (!coherent) {
		wbinvd(); /* the tables are many pages, and no guest runs yet */
	}
	return true;
}

static struct vtd_function *find(uint16_t bdf)
{
	for (unsigned i = 0; i < functions; i++) {
		if (function[i].bdf == bdf) {
			return &function[i];
		}
	}
	return NULL;
}

static struct vtd_function *enter(uint16_t bdf, struct refusal *r)
{
	int covering = vtd_unit_of(&dmar, bdf);

	if (covering < 0) {
		refuse(r, "no VT-d unit covers device %02x:%02x.%x", bdf >> 8, bdf >> 3 & 31,
		       bdf & 7);
		return NULL;
	}
	if (functions == IOMMU_FUNCTIONS) {
		refuse(r, "more than %u devices belong to partitions", IOMMU_FUNCTIONS);
		return NULL;
	}
	function[functions] = (struct vtd_function){.bdf = bdf, .unit = &unit[covering]};
	return &function[functions++];
}

static bool honour_ranges(struct vtd_function *f, struct iommu_domain *d, struct refusal *r)
{
	if (!d || f->reserved == d) {
		return true;
	}
	for (unsigned i = 0; i < dmar.ranges; i++) {
		const struct dmar_range *range = &dmar.range[i];

		if (range->segment == 0 && vtd_covers(&dmar, &range->scopes, f->bdf) &&
		    !iommu_domain_reserve(d, f->bdf, range->base, range->end, true, r)) {
			return false;
		}
	}
	if (!coherent && dmar.ranges) {
		wbinvd();
	}
	f->reserved = d;
	return true;
}

/* The function's context entry; its table is made when there is none. */
static struct vtd_pair *context_of(uint16_t bdf, struct refusal *r)
{
	struct vtd_pair *bus = &root[bdf >> 8], *table;
	hpa_t at = hpa(bus->low & ~PAGE_MASK);

	if (!(bus->low & VTD_PRESENT)) {
		if (!host_alloc(PAGE_SIZE, PAGE_SIZE, &at)) {
			refuse(r, "no memory for VT-d tables");
			return NULL;
		}
		write_back(host_ptr(at), PAGE_SIZE);
		bus->low = at.v | VTD_PRESENT;
		write_back(bus, sizeof(*bus));
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
	write_back(c, sizeof(*c));
}

static struct vtd_pair *remaps_of(const struct vtd_function *f)
{
	return &remap[VTD_LEGACY_INDEX + (unsigned)(f - function) * IOMMU_MSIS];
}

static bool forget_interrupts(const struct vtd_function *f)
{
	bool any = false;

	for (unsigned i = 0; remapping && i < IOMMU_MSIS; i++) {
		struct vtd_pair *e = &remaps_of(f)[i];

		any |= e->low != 0;
		__atomic_store_n(&e->low, 0, __ATOMIC_RELEASE);
	}
	if (any) {
		write_back(remaps_of(f), IOMMU_MSIS * sizeof(struct vtd_pair));
	}
	return !any || vtd_flush_remap(f->unit, UINT32_MAX);
}

static bool attach(uint16_t bdf, struct iommu_domain *d, struct refusal *r)
{
	struct vtd_function *f = find(bdf);
	struct vtd_pair *context;
	uint16_t before;

	if (!f && !d) {
		return true; /* as it is from the start */
	}
	if ((!f && !(f = enter(bdf, r))) || !honour_ranges(f, d, r) ||
	    !(context = context_of(bdf, r))) {
		return false;
	}
	before = f->domain ? f->domain->id : 0;
	f->domain = d;
	write_context(context, d ? vtd_context_entry(d) : (struct vtd_pair){0});
	if (!vtd_flush_domains(f->unit, before, d ? d->id : 0) || !forget_interrupts(f)) {
		return refuse_unit(r, f->unit, "does not invalidate what it has cached");
	}
	return true;
}

/* --- interrupts --- */

static bool set_remap(struct vtd_unit *u, uint32_t index, struct vtd_pair entry)
{
	struct vtd_pair *e = &remap[index];
	bool cached = e->low || (u->cap & VTD_CAP_CACHING);

	/* The requester comes first; the half with vector and CPU changes at once. */
	__atomic_store_n(&e->high, entry.high, __ATOMIC_RELEASE);
	__atomic_store_n(&e->low, entry.low, __ATOMIC_RELEASE);
	write_back(e, sizeof(*e));
	return !cached || vtd_flush_remap(u, index);
}

static bool msi(uint16_t bdf, unsigned index, uint32_t apic_id, uint8_t vector, uint64_t *address,
		uint32_t *data)
{
	const struct vtd_function *f = find(bdf);
	uint32_t first;

	if (!f || !f->domain || index >= IOMMU_MSIS || (!x2apic && apic_id > 0xff)) {
		return false;
	}
	if (!remapping) {
		return iommu_plain_msi(apic_id, vector, address, data);
	}
	first = (uint32_t)(remaps_of(f) - remap);
	*address = vtd_message_address(first);
	*data = index;
	return set_remap(f->unit, first + index,
			 vtd_remap_entry(bdf, apic_id, vector, false, x2apic));
}

/* The unit of an I/O APIC is not looked up: interrupts of pins change at boot and seldom. */
static bool ioapic(uint8_t id, unsigned pin, uint32_t apic_id, uint8_t vector, bool level,
		   uint64_t *entry)
{
	unsigned ordinal;
	uint32_t index;
	bool ok = true;
	int source;

	if (!remapping) {
		return iommu_plain_ioapic(apic_id, vector, level, entry);
	}
	source = vtd_ioapic(&dmar, id, &ordinal);
	if (source < 0 || pin > 0xff || (!x2apic && apic_id > 0xff)) {
		return false;
	}
	index = ordinal << 8 | pin;
	*entry = vtd_pin_entry(index, vector, level);
	for (unsigned i = 0; i < dmar.units; i++) {
		ok = ok &&
		     set_remap(&unit[i], index,
			       vtd_remap_entry((uint16_t)source, apic_id, vector, level, x2apic));
	}
	return ok;
}

/* --- faults --- */

static bool take_fault(struct iommu_fault *f)
{
	for (unsigned i = 0; i < dmar.units; i++) {
		if (vtd_take_fault(&unit[i], f)) {
			return true;
		}
	}
	return false;
}

static void fault_interrupt(uint32_t apic_id, uint8_t vector)
{
	for (unsigned i = 0; i < dmar.units; i++) {
		vtd_fault_route(&unit[i], apic_id, vector);
	}
}

static bool registers(unsigned index, uint64_t *base, uint64_t *size)
{
	if (index >= dmar.units) {
		return false;
	}
	*base = unit[index].acpi->base.v;
	*size = register_bytes(&unit[index]);
	return true;
}

const struct iommu_ops vtd_ops = {
	.name = "VT-d",
	.enable = enable,
	.domain_create = domain_create,
	.attach = attach,
	.msi = msi,
	.ioapic = ioapic,
	.take_fault = take_fault,
	.fault_interrupt = fault_interrupt,
	.registers = registers,
};
