/*
 * VT-d behind hv/iommu.h: bring-up, contexts, interrupt entries. Called through vtd_ops.
 *
 * All units of segment 0 read the same root table: each meets only its own devices' entries. Owner
 * of the tables; an entry is changed by the boot CPU or by the CPU of the partition that owns the
 * device.
 */
#include "drivers/vtd.h"
#include "hv/cpu_facts.h"
#include "hv/host.h"
#include "hv/lib/string.h"
#include "hv/log.h"

struct vtd vtd;

static hpa_t empty_root_at, remap_at;

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

bool vtd_refuse(struct refusal *r, const struct vtd_unit *u, const char *why)
{
	return refuse(r,
		      "the VT-d unit at 0x%lx %s; `iommu=off` on Mullion's command line starts "
		      "without it",
		      u->acpi->base.v, why);
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
	if (u->acpi->base.v >= cpu_address_limit()) {
		return vtd_refuse(r, u, "is beyond this CPU's addresses");
	}
	u->at = host_map_mmio(u->acpi->base, PAGE_SIZE);
	u->cap = vtd_read(u, VTD_CAPABILITY, 8);
	u->ext = vtd_read(u, VTD_EXTENDED, 8);
	if (u->cap == UINT64_MAX || !u->cap) {
		return vtd_refuse(r, u, "does not answer");
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

	log_line("VT-d: unit at 0x%lx: version %u.%u, %u-bit addresses, %u levels, pages to %s, %s "
		 "invalidation%s%s%s%s",
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

	vtd.address_bits = 64;
	for (unsigned i = 0; i < vtd.dmar.units; i++) {
		unsigned bits = (unsigned)field_get(VTD_CAP_GUEST_ADDRESS, vtd.unit[i].cap) + 1;

		if (4 + 2 * field_get(VTD_CAP_DOMAINS, vtd.unit[i].cap) < 5) {
			return vtd_refuse(r, &vtd.unit[i], "has too few domains");
		}
		vtd.address_bits = bits < vtd.address_bits ? bits : vtd.address_bits;
		cap &= vtd.unit[i].cap;
		ext &= vtd.unit[i].ext;
	}
	vtd.format = vtd_npt_format(cap, ext);
	vtd.coherent = ext & VTD_EXT_COHERENT;
	vtd.remapping = vtd.dmar.remaps_interrupts && (ext & VTD_EXT_REMAP) &&
			(ext & VTD_EXT_QUEUE) && (!vtd.x2apic || (ext & VTD_EXT_X2APIC));
	return vtd.format.levels ||
	       vtd_refuse(r, &vtd.unit[0], "has no second-level translation for legacy mode");
}

/* Remapping is all or nothing: a pin that it does not know would be silent. */
static void check_ioapics(const struct acpi_info *a)
{
	for (unsigned i = 0; vtd.remapping && i < a->ioapics; i++) {
		unsigned ordinal;

		if (vtd_ioapic(&vtd.dmar, (uint8_t)a->ioapic[i].id, &ordinal) < 0 ||
		    ordinal >= ACPI_IOAPICS) {
			log_line("VT-d: the DMAR does not list I/O APIC %u: interrupts are not "
				 "remapped",
				 a->ioapic[i].id);
			vtd.remapping = false;
		}
	}
}

bool vtd_probe(const struct iommu_machine *m, struct refusal *r)
{
	memset(&vtd, 0, sizeof(vtd));
	vtd.x2apic = m->x2apic;
	if (!acpi_parse_dmar(&vtd.dmar, m->acpi, m->map, m->map_ctx, r)) {
		return false;
	}
	for (unsigned i = 0; i < vtd.dmar.units; i++) {
		vtd.unit[i] = (struct vtd_unit){.acpi = &vtd.dmar.unit[i]};
		if (!map_unit(&vtd.unit[i], r)) {
			return false;
		}
		log_unit(&vtd.unit[i]);
	}
	vtd_resolve(&vtd.dmar);
	if (!combine(r)) {
		return false;
	}
	check_ioapics(m->acpi);
	return true;
}

/* --- taking over --- */

void vtd_write_back(const void *p, size_t size)
{
	if (!vtd.coherent) {
		iommu_flush(p, size);
	}
}

static bool make_tables(struct refusal *r)
{
	if (!host_alloc(PAGE_SIZE, PAGE_SIZE, &vtd.root_at) ||
	    !host_alloc(PAGE_SIZE, PAGE_SIZE, &empty_root_at) ||
	    (vtd.remapping && !host_alloc(VTD_REMAPS * sizeof(struct vtd_pair),
					  VTD_REMAPS * sizeof(struct vtd_pair), &remap_at))) {
		return refuse(r, "no memory for VT-d tables");
	}
	vtd.root = host_ptr(vtd.root_at);
	vtd_write_back(vtd.root, PAGE_SIZE);
	vtd_write_back(host_ptr(empty_root_at), PAGE_SIZE);
	if (vtd.remapping) {
		vtd.remap = host_ptr(remap_at);
		vtd_write_back(vtd.remap, VTD_REMAPS * sizeof(struct vtd_pair));
	}
	return true;
}

static bool turn_off(const struct vtd_unit *u, uint32_t what)
{
	return !(vtd_read(u, VTD_STATUS, 4) & what) || vtd_command(u, what, false);
}

/*
 * Translation that firmware left on in legacy mode stays on while the tables change under it, so
 * that there is no moment in which devices reach everything. Interrupt remapping must be off before
 * the queue is.
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
	if (!turn_off(u, VTD_REMAP) || !turn_off(u, VTD_COMPATIBILITY)) {
		return vtd_refuse(r, u, "does not stop interrupt remapping");
	}
	if (!turn_off(u, VTD_ADVANCED_LOG)) {
		return vtd_refuse(r, u, "does not stop its fault log");
	}
	/* The table's type may not change under it. */
	if ((vtd_read(u, VTD_ROOT_TABLE, 8) & VTD_ROOT_TYPE) && !turn_off(u, VTD_TRANSLATE)) {
		return vtd_refuse(r, u, "does not stop firmware's translation");
	}
	if (!vtd_queue_stop(u)) {
		return vtd_refuse(r, u, "does not stop firmware's invalidation queue");
	}
	vtd_clear_faults(u);
	return vtd_queue_start(u, r);
}

static bool translate(struct vtd_unit *u, struct refusal *r)
{
	uint64_t at = u->acpi->segment == 0 ? vtd.root_at.v : empty_root_at.v;

	vtd_write(u, VTD_ROOT_TABLE, 8, at); /* type 0: legacy mode */
	if (!vtd_command(u, VTD_SET_ROOT, true) || !vtd_flush_all(u) ||
	    !vtd_command(u, VTD_TRANSLATE, true)) {
		return vtd_refuse(r, u, "does not turn translation on");
	}
	if (u->cap & VTD_CAP_PROTECTED) {
		vtd_write(u, VTD_PROTECTED, 4, 0);
		if (!vtd_wait(u, VTD_PROTECTED, 4, VTD_PROTECTED_STATUS, 0)) {
			return vtd_refuse(r, u, "does not turn its protected memory regions off");
		}
	}
	return true;
}

static bool remap_interrupts(struct vtd_unit *u, struct refusal *r)
{
	enum { SIZE = 15 /* 2^16 entries */ };

	vtd_write(u, VTD_REMAP_TABLE, 8, remap_at.v | SIZE | (vtd.x2apic ? VTD_REMAP_X2APIC : 0));
	if (!vtd_command(u, VTD_SET_REMAP, true) || !vtd_flush_remap(u, UINT32_MAX) ||
	    !vtd_command(u, VTD_REMAP, true)) {
		return vtd_refuse(r, u, "does not turn interrupt remapping on");
	}
	return true;
}

static bool enable(struct refusal *r)
{
	if (!make_tables(r)) {
		return false;
	}
	vtd_honour_firmware();
	for (unsigned i = 0; i < vtd.dmar.units; i++) {
		if (!take_over(&vtd.unit[i], r) || !translate(&vtd.unit[i], r)) {
			return false;
		}
	}
	for (unsigned i = 0; vtd.remapping && i < vtd.dmar.units; i++) {
		if (!remap_interrupts(&vtd.unit[i], r)) {
			return false;
		}
	}
	log_line("VT-d: on, %u unit%s, all devices blocked, interrupts %s", vtd.dmar.units,
		 vtd.dmar.units == 1 ? "" : "s", vtd.remapping ? "remapped" : "not remapped");
	return true;
}

/* --- faults --- */

static bool take_fault(struct iommu_fault *f)
{
	for (unsigned i = 0; i < vtd.dmar.units; i++) {
		if (vtd_take_fault(&vtd.unit[i], f)) {
			f->owned = iommu_owned(f->bdf);
			return true;
		}
	}
	return false;
}

static void fault_interrupt(uint32_t apic_id, uint8_t vector)
{
	for (unsigned i = 0; i < vtd.dmar.units; i++) {
		vtd_fault_route(&vtd.unit[i], apic_id, vector);
	}
}

static bool remaps_interrupts(void)
{
	return vtd.remapping;
}

static bool reaches(uint32_t apic_id)
{
	return apic_id < 0xff || (vtd.remapping && vtd.x2apic);
}

static bool registers(unsigned index, uint64_t *base, uint64_t *size)
{
	if (index >= vtd.dmar.units) {
		return false;
	}
	*base = vtd.unit[index].acpi->base.v;
	*size = register_bytes(&vtd.unit[index]);
	return true;
}

const struct iommu_ops vtd_ops = {
	.name = "VT-d",
	.enable = enable,
	.domain_create = vtd_domain_create,
	.attach = vtd_attach,
	.msi = vtd_msi,
	.ioapic = vtd_pin,
	.take_fault = take_fault,
	.fault_interrupt = fault_interrupt,
	.quiet = vtd_quiet,
	.remaps_interrupts = remaps_interrupts,
	.reaches = reaches,
	.registers = registers,
};
