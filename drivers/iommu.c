/*
 * DMA remapping: see iommu.h. Called by boot/iommu.c once; `iommu` and the domains belong here, a
 * domain is only changed by the boot CPU before its guest runs.
 */
#include "drivers/iommu.h"
#include "arch/x86_64/asm.h"
#include "hv/host.h"
#include "hv/pci.h"
#include "hv/pci_group.h"

const struct iommu_ops *iommu;

static const struct iommu_machine *machine;
static struct iommu_domain domain[MAX_GUESTS], firmware;
static unsigned domains;

struct iommu_function iommu_function[IOMMU_FUNCTIONS];
unsigned iommu_functions;

bool iommu_probe(const struct iommu_machine *m, struct refusal *r)
{
	machine = m;
	domains = 0;
	iommu_functions = 0;
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

/* --- functions --- */

struct iommu_function *iommu_find(uint16_t bdf)
{
	for (unsigned i = 0; i < iommu_functions; i++) {
		if (iommu_function[i].bdf == bdf) {
			return &iommu_function[i];
		}
	}
	return NULL;
}

struct iommu_function *iommu_enter(uint16_t bdf, int unit, struct refusal *r)
{
	struct iommu_function *f = &iommu_function[iommu_functions];

	if (unit < 0) {
		refuse(r, "no %s unit covers device %02x:%02x.%x", iommu->name, BDF_PARTS(bdf));
		return NULL;
	}
	if (iommu_functions == IOMMU_FUNCTIONS) {
		refuse(r, "more than %u devices belong to partitions", IOMMU_FUNCTIONS);
		return NULL;
	}
	iommu_functions++;
	*f = (struct iommu_function){
		.bdf = bdf, .carried = pci_requester(bdf), .unit = (unsigned)unit};
	return f;
}

bool iommu_owned(uint16_t bdf)
{
	for (unsigned i = 0; i < iommu_functions; i++) {
		const struct iommu_function *f = &iommu_function[i];

		if (f->domain && (f->bdf == bdf || f->carried == bdf)) {
			return true;
		}
	}
	return false;
}

bool iommu_is_shared(const struct iommu_function *f)
{
	for (unsigned i = 0; i < iommu_functions; i++) {
		const struct iommu_function *o = &iommu_function[i];

		if (o != f && o->domain && (o->carried == f->carried || o->bdf == f->carried)) {
			return true;
		}
	}
	return false;
}

void iommu_flush(const void *p, size_t size)
{
	clflush(p, size);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}
