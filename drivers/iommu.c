/*
 * DMA remapping: see iommu.h. Called by boot/iommu.c once; `iommu` and the domains belong here, a
 * domain is only changed by the boot CPU before its guest runs.
 */
#include "drivers/iommu.h"
#include "arch/x86_64/asm.h"
#include "hv/host.h"
#include "hv/pci.h"

const struct iommu_ops *iommu;

static const struct iommu_machine *machine;
static struct iommu_domain domain[MAX_GUESTS], firmware;
static unsigned domains;

bool iommu_probe(const struct iommu_machine *m, struct refusal *r)
{
	machine = m;
	domains = 0;
	iommu = NULL;
	if (acpi_find_table(m->acpi, "DMAR").v) {
		iommu = vtd_probe(m, r) ? &vtd_ops : NULL;
	} else if (acpi_find_table(m->acpi, "IVRS").v) {
		iommu = amdvi_probe(m, r) ? &amdvi_ops : NULL;
	}
	return iommu != NULL;
}

/* --- domains --- */

static bool map_ram(struct iommu_domain *d, unsigned bits, struct refusal *r)
{
	for (unsigned i = 0; i < d->as->count; i++) {
		const struct addr_range *range = &d->as->range[i];

		if (range->uncached) {
			continue; /* a device's registers: not for other devices */
		}
		if (bits < 64 && (range->base.v + range->size - 1) >> bits) {
			return refuse(r,
				      "RAM at guest-physical 0x%lx is beyond the %u bits that "
				      "devices can address through the IOMMU",
				      range->base.v, bits);
		}
		if (!npt_add(&d->npt, range, r)) {
			return false;
		}
	}
	return true;
}

static const struct addrspace nothing;

bool iommu_domain_firmware(const struct npt_format *f, struct iommu_domain **out, struct refusal *r)
{
	firmware = (struct iommu_domain){.as = &nothing, .id = IOMMU_FIRMWARE};
	*out = &firmware;
	return npt_build(&firmware.npt, f, &nothing, r);
}

bool iommu_domain_make(const struct npt_format *f, unsigned bits, const struct addrspace *as,
		       struct iommu_domain **out, struct refusal *r)
{
	struct iommu_domain *d = &domain[domains];

	if (domains == MAX_GUESTS) {
		return refuse(r, "too many IOMMU domains");
	}
	*d = (struct iommu_domain){.as = as, .id = (uint16_t)(domains + 1)};
	if (!npt_build(&d->npt, f, &nothing, r) || !map_ram(d, bits, r)) {
		return false;
	}
	domains++;
	*out = d;
	return true;
}

/* One page, if it is not there yet: ranges of several devices may overlap. */
static bool reserve_page(struct iommu_domain *d, uint64_t at, bool write, struct refusal *r)
{
	struct addr_range page = {
		.base = gpa(at), .hpa = hpa(at), .size = PAGE_SIZE, .writable = write};
	uint64_t size;

	npt_lookup(&d->npt, gpa(at), &size);
	return size || npt_add(&d->npt, &page, r);
}

bool iommu_domain_reserve(struct iommu_domain *d, uint16_t bdf, uint64_t base, uint64_t end,
			  bool write, struct refusal *r)
{
	enum { MOST = 1 << 16 /* pages; graphics memory has 128 MiB at most */ };
	const char *what = machine->memory(machine->memory_ctx, base, end - base);

	if (what || end - base > (uint64_t)MOST * PAGE_SIZE) {
		return refuse(
			r, "firmware reserved 0x%lx-0x%lx for device %02x:%02x.%x, but there is %s",
			base, end - 1, BDF_PARTS(bdf), what ? what : "too much of it");
	}
	for (uint64_t at = base; at < end; at += PAGE_SIZE) {
		if (addrspace_find(d->as, gpa(at))) {
			return refuse(
				r,
				"firmware reserved 0x%lx-0x%lx for device %02x:%02x.%x, where the "
				"guest has memory; give the guest less or more of it",
				base, end - 1, BDF_PARTS(bdf));
		}
	}
	for (uint64_t at = base; at < end; at += PAGE_SIZE) {
		if (!reserve_page(d, at, write, r)) {
			return false;
		}
	}
	return true;
}

/* --- config space: PCI Local Bus Specification 3.0, "Configuration Mechanism" --- */

enum { CONFIG_ADDRESS = 0xcf8, CONFIG_DATA = 0xcfc };

static void select_config(uint16_t bdf, unsigned offset)
{
	host_out(CONFIG_ADDRESS, 4, (uint32_t)BIT(31) | (uint32_t)bdf << 8 | (offset & 0xfc));
}

uint32_t iommu_config_read(uint16_t bdf, unsigned offset)
{
	select_config(bdf, offset);
	return host_in(CONFIG_DATA, 4);
}

void iommu_config_write(uint16_t bdf, unsigned offset, uint32_t value)
{
	select_config(bdf, offset);
	host_out(CONFIG_DATA, 4, value);
}

void iommu_flush(const void *p, size_t size)
{
	enum { LINE = 64 /* the least that any x86 CPU has */ };
	uintptr_t at = ALIGN_DOWN((uintptr_t)p, (uintptr_t)LINE), end = (uintptr_t)p + size;

	for (; at < end; at += LINE) {
		clflush((const void *)at);
	}
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}
