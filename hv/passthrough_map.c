/*
 * The memory of passed-through functions in the second-level tables of their partition.
 *
 * A page of a BAR is mapped, uncached and never executable, when the BAR is decoded, the page holds
 * nothing of another device, and the place is free: where RAM, an APIC, ECAM or another BAR is,
 * the BAR is not mapped and the guest that put it there has the harm. Everything else that a BAR
 * decodes is reached by emulation (vpci_window.c). Under the partition's device lock, but at boot.
 */
#include "hv/cpuid.h"
#include "hv/log.h"
#include "hv/passthrough_part.h"
#include "hv/vdev/vioapic.h"
#include "hv/virt.h"

enum { HOST_VIEW_MAX = 0x10000000 /* of a BAR: larger ones are reached by the guest alone */ };

struct span {
	uint64_t base, size;
};

static bool overlaps(struct span a, struct span b)
{
	return a.base < b.base + b.size && b.base < a.base + a.size;
}

/* --- at boot --- */

static bool in_holes(struct span s)
{
	return (s.base >= VPCI_HOLE_BASE && s.base + s.size <= VPCI_HOLE_END) ||
	       (s.base >= VPCI_HOLE2_BASE && s.base + s.size <= VPCI_HOLE2_END);
}

/* Not where RAM, `mmio =` or the start of a BAR that was placed before is. */
static bool is_free(const struct partition *p, struct span s)
{
	const struct passthrough *d = p->devices;

	for (unsigned i = 0; i < p->as.count; i++) {
		if (overlaps(s, (struct span){p->as.range[i].base.v, p->as.range[i].size})) {
			return false;
		}
	}
	for (unsigned n = 0; n < d->functions; n++) {
		for (unsigned i = 0; i < PCI_BARS; i++) {
			const struct vpci_function *f = &d->function[n];

			if (f->start[i] && !f->pci->bar[i].io &&
			    overlaps(s, (struct span){f->start[i], f->pci->bar[i].size})) {
				return false;
			}
		}
	}
	return true;
}

/* Pages are not shared by two BARs, so that each can be mapped. */
static uint64_t find_place(const struct partition *p, uint64_t size)
{
	uint64_t step = size < PAGE_SIZE ? PAGE_SIZE : size;

	for (uint64_t at = ALIGN_UP((uint64_t)VPCI_HOLE_BASE, step); at + size <= VPCI_HOLE_END;
	     at += step) {
		if (is_free(p, (struct span){at, size})) {
			return at;
		}
	}
	return 0;
}

static void place_bar(struct partition *p, struct vpci_function *f, unsigned i)
{
	const struct pci_bar *b = &f->pci->bar[i];
	struct span there = {b->base, b->size};

	f->start[i] = 0;
	if (b->io) {
		f->start[i] = b->base;
	} else if (b->size) {
		f->start[i] = in_holes(there) && is_free(p, there) ? b->base
								   : find_place(p, b->size);
	}
	if (b->size && !b->io && b->size <= HOST_VIEW_MAX) {
		f->bar[i].host = host_map_mmio(hpa(b->base), b->size);
	}
	f->bar[i].mapped_at = VPCI_NOWHERE;
}

/* Tables that mapping a BAR anywhere can take: one per level, and for the page with the table. */
static unsigned tables_for(const struct pci_bar *b)
{
	enum { PER_BAR = 5 };
	uint64_t gib = b->size / PAGE_1G;

	return b->size && !b->io ? PER_BAR + (gib < NPT_RESERVE ? (unsigned)gib : NPT_RESERVE) : 0;
}

bool passthrough_place_bars(struct partition *p, struct refusal *r)
{
	unsigned tables = 1;

	for (unsigned n = 0; n < p->devices->functions; n++) {
		struct vpci_function *f = &p->devices->function[n];

		for (unsigned i = 0; i < PCI_BARS; i++) {
			place_bar(p, f, i);
			tables += tables_for(&f->pci->bar[i]);
		}
		if (f->pci->cap_msix && !f->bar[f->pci->msix_table_bar].host) {
			return refuse(r,
				      "guest %s: PCI %02x:%02x.%x has its MSI-X table in a BAR of "
				      "more than %u MiB",
				      p->config->name, BDF_PARTS(f->pci->bdf), HOST_VIEW_MAX >> 20);
		}
	}
	return npt_reserve(&p->npt, tables, r);
}

/* --- while the guest runs --- */

/* Whole pages of one device. */
static bool can_map(const struct pci_bar *b)
{
	return b->size >= PAGE_SIZE && !b->io;
}

/* The page range of BAR i without the pages of an MSI-X table: two parts, each may be empty. */
static void parts_of(const struct vpci_function *f, unsigned i, struct span part[2])
{
	uint64_t size = f->pci->bar[i].size, first = size, end = size;

	if (f->pci->cap_msix && i == f->pci->msix_table_bar) {
		first = ALIGN_DOWN((uint64_t)f->pci->msix_table_offset, (uint64_t)PAGE_SIZE);
		end = ALIGN_UP(f->pci->msix_table_offset + vpci_table_size(f), (uint64_t)PAGE_SIZE);
	}
	part[0] = (struct span){0, first};
	part[1] = (struct span){end, size - end};
}

static void unmap_bar(struct partition *p, struct vpci_function *f, unsigned i)
{
	struct span part[2];

	parts_of(f, i, part);
	for (unsigned n = 0; n < 2; n++) {
		if (part[n].size) {
			npt_unmap(&p->npt, gpa(f->bar[i].mapped_at + part[n].base), part[n].size);
		}
	}
	f->bar[i].mapped_at = VPCI_NOWHERE;
}

/* What stands in the way of a BAR, in words; NULL: nothing. */
static const char *obstacle(const struct partition *p, struct span s)
{
	static const struct {
		struct span at;
		const char *what;
	} fixed[] = {
		{{VLAPIC_BASE_DEFAULT, PAGE_SIZE}, "the local APIC"},
		{{VIOAPIC_BASE, PAGE_SIZE}, "the I/O APIC"},
		{{VPCI_ECAM_BASE, VPCI_ECAM_SIZE}, "ECAM"},
	};
	const struct passthrough *d = p->devices;

	if (s.base + s.size < s.base || s.base + s.size > BIT(cpuid_maxphyaddr())) {
		return "the end of the address space";
	}
	for (unsigned i = 0; i < ARRAY_SIZE(fixed); i++) {
		if (overlaps(s, fixed[i].at)) {
			return fixed[i].what;
		}
	}
	for (unsigned i = 0; i < p->as.count; i++) {
		if (overlaps(s, (struct span){p->as.range[i].base.v, p->as.range[i].size})) {
			return p->as.range[i].ptr ? "RAM" : "`mmio =`";
		}
	}
	for (unsigned n = 0; n < d->functions; n++) {
		for (unsigned i = 0; i < PCI_BARS; i++) {
			uint64_t at = d->function[n].bar[i].mapped_at;

			if (at != VPCI_NOWHERE &&
			    overlaps(s, (struct span){at, d->function[n].pci->bar[i].size})) {
				return "another BAR";
			}
		}
	}
	return NULL;
}

static void map_bar(struct partition *p, struct vpci_function *f, unsigned i)
{
	const struct pci_bar *b = &f->pci->bar[i];
	const char *what = obstacle(p, (struct span){f->bar[i].at, b->size});
	struct span part[2];
	bool done[2] = {false, false};

	if (what) {
		if (!f->bar[i].told) {
			f->bar[i].told = true;
			log_line("%s: PCI %02x:%02x.%x BAR %u at 0x%lx meets %s and is not mapped",
				 p->config->name, BDF_PARTS(f->pci->bdf), i, f->bar[i].at, what);
		}
		return;
	}
	parts_of(f, i, part);
	for (unsigned n = 0; n < 2; n++) {
		struct addr_range range = {.base = gpa(f->bar[i].at + part[n].base),
					   .size = part[n].size,
					   .hpa = hpa(b->base + part[n].base),
					   .writable = true,
					   .uncached = true};

		done[n] = !part[n].size || npt_map(&p->npt, &range);
	}
	f->bar[i].mapped_at = f->bar[i].at;
	if (!done[0] || !done[1]) {
		unmap_bar(p, f, i); /* emulation still reaches it */
	}
}

bool passthrough_remap(struct partition *p)
{
	struct passthrough *d = p->devices;
	bool gone = false;

	for (unsigned n = 0; n < d->functions; n++) {
		for (unsigned i = 0; i < PCI_BARS; i++) {
			struct vpci_function *f = &d->function[n];

			if (f->bar[i].mapped_at != VPCI_NOWHERE &&
			    f->bar[i].mapped_at != f->bar[i].at) {
				unmap_bar(p, f, i);
				gone = true;
			}
		}
	}
	for (unsigned n = 0; n < d->functions; n++) {
		for (unsigned i = 0; i < PCI_BARS; i++) {
			struct vpci_function *f = &d->function[n];

			if (can_map(&f->pci->bar[i]) && f->bar[i].at != VPCI_NOWHERE &&
			    f->bar[i].mapped_at == VPCI_NOWHERE) {
				map_bar(p, f, i);
			}
		}
	}
	return gone;
}

/* --- flushing --- */

/* A vCPU that has taken the request off is not in its guest, and flushes before it enters. */
static void wait_for(struct vcpu *self, const struct vcpu *other)
{
	while (atomic_load_explicit(&other->request, memory_order_acquire) & REQUEST_FLUSH) {
		/* It may be waiting for us. */
		if (atomic_load_explicit(&self->request, memory_order_relaxed) & REQUEST_FLUSH) {
			atomic_fetch_and(&self->request, ~(uint32_t)REQUEST_FLUSH);
			virt->flush(self);
		}
		host_relax();
	}
}

void passthrough_flush(struct vcpu *v)
{
	struct partition *p = v->part;
	unsigned until;

	lock_take(&p->pc.lock);
	until = p->npt.retired_next;
	lock_drop(&p->pc.lock);
	for (unsigned i = 0; i < p->vcpus; i++) {
		if (p->vcpu[i] != v) {
			vcpu_post(p->vcpu[i], REQUEST_FLUSH);
		}
	}
	for (unsigned i = 0; i < p->vcpus; i++) {
		if (p->vcpu[i] != v) {
			wait_for(v, p->vcpu[i]);
		}
	}
	lock_take(&p->pc.lock);
	npt_flushed(&p->npt, until);
	lock_drop(&p->pc.lock);
}
