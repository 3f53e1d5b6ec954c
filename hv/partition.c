/*
 * Making partitions: memory, devices and vCPUs of a guest, and what its LAPICs ask of the rest.
 *
 * partition_create runs on the boot CPU before any guest. What follows, a guest's starts and ends,
 * is in partition_life.c.
 */
#include "hv/partition.h"
#include "hv/cpuid.h"
#include "hv/host.h"
#include "hv/passthrough.h"
#include "hv/virt.h"

struct partition *partitions[MAX_GUESTS];
unsigned partition_count;

/* --- building --- */

static bool add_ram(struct partition *p, uint64_t base, uint64_t size, hpa_t at, struct refusal *r)
{
	struct addr_range range = {
		.base = gpa(base), .size = size, .hpa = at, .ptr = host_ptr(at), .writable = true};

	return size == 0 || addrspace_add(&p->as, &range, r);
}

/*
 * Takes one block for [base, base + size), or halves until the machine has one large enough: big
 * guests on machines with holes get several blocks, each as aligned as its leaves can use.
 */
static bool add_blocks(struct partition *p, uint64_t base, uint64_t size, struct refusal *r)
{
	while (size) {
		uint64_t align = size >= PAGE_1G ? PAGE_1G : PAGE_2M;
		uint64_t part = size;
		hpa_t at;

		while (!host_alloc(part, align, &at)) {
			if (align == PAGE_1G) {
				align = PAGE_2M;
				continue;
			}
			if (part <= PAGE_2M) {
				return refuse(
					r,
					"guest %s: no memory for %lu KiB at 0x%lx; largest free "
					"block is %lu KiB",
					p->config->name, size >> 10, base,
					host_alloc_largest(PAGE_2M) >> 10);
			}
			part = ALIGN_UP(part / 2, PAGE_2M);
		}
		if (!add_ram(p, base, part, at, r)) {
			return false;
		}
		base += part;
		size -= part;
	}
	return true;
}

/*
 * RAM from 0 with the holes of a PC. The first block also holds the bytes behind the VGA hole, so
 * that gpa and hpa keep their alignment and large leaves go on behind it.
 */
static bool create_plain(struct partition *p, struct refusal *r)
{
	uint64_t size = p->config->memory, low = size < GUEST_LOW_LIMIT ? size : GUEST_LOW_LIMIT;
	uint64_t first = low < PAGE_1G ? low : PAGE_1G;
	hpa_t at;

	while (!host_alloc(ALIGN_UP(first, PAGE_SIZE), first == PAGE_1G ? PAGE_1G : PAGE_2M, &at)) {
		if (first <= PAGE_2M) {
			return refuse(r, "guest %s: no memory for its first %lu KiB",
				      p->config->name, first >> 10);
		}
		first = ALIGN_UP(first / 2, PAGE_2M);
	}
	return add_ram(p, 0, GUEST_VGA_HOLE, at, r) &&
	       add_ram(p, GUEST_BIOS_AREA, first - GUEST_BIOS_AREA, hpa(at.v + GUEST_BIOS_AREA),
		       r) &&
	       add_blocks(p, first, low - first, r) &&
	       add_blocks(p, GUEST_HIGH_BASE, size - low, r);
}

/*
 * RAM for devices whose DMA nobody translates: from 1 MiB on the guest gets what is free at the
 * very addresses, and sees holes where it is not. The first MiB, where every PC has RAM but Mullion
 * none to give, is elsewhere: no device may be told of it.
 */
static bool create_identity(struct partition *p, struct refusal *r)
{
	enum { PIECES = 8, PIECE_MIN = 0x100000 };
	uint64_t left = p->config->memory - GUEST_BIOS_END, from = GUEST_BIOS_END, at, size;
	hpa_t low;

	if (!host_alloc(GUEST_BIOS_END, PAGE_SIZE, &low)) {
		return refuse(r, "guest %s: no memory for its first 1024 KiB", p->config->name);
	}
	if (!add_ram(p, 0, GUEST_VGA_HOLE, low, r) ||
	    !add_ram(p, GUEST_BIOS_AREA, GUEST_BIOS_END - GUEST_BIOS_AREA,
		     hpa(low.v + GUEST_BIOS_AREA), r)) {
		return false;
	}
	for (unsigned n = 0; left && n < PIECES; from = at + size) {
		bool below = from < GUEST_LOW_LIMIT;

		if (!host_alloc_next(from, below ? GUEST_LOW_LIMIT : UINT64_MAX, &at, &size)) {
			if (!below) {
				break;
			}
			at = GUEST_HIGH_BASE;
			size = 0;
			continue;
		}
		if (size < PIECE_MIN && size < left) {
			continue;
		}
		size = size < left ? size : left;
		if (!host_alloc_at(at, size) || !add_ram(p, at, size, hpa(at), r)) {
			return false;
		}
		left -= size;
		n++;
	}
	return !left || refuse(r,
			       "guest %s: `dma = unsafe-identity` needs free RAM at its own "
			       "addresses, and %lu KiB are missing; make it smaller",
			       p->config->name, left >> 10);
}

static bool create_memory(struct partition *p, struct refusal *r)
{
	return p->config->dma == DMA_UNSAFE_IDENTITY ? create_identity(p, r) : create_plain(p, r);
}

static bool create_mmio(struct partition *p, struct refusal *r)
{
	for (unsigned i = 0; i < p->config->mmios; i++) {
		const struct config_range *m = &p->config->mmio[i];
		struct addr_range range = {.base = gpa(m->base),
					   .size = m->size,
					   .hpa = hpa(m->base),
					   .writable = true,
					   .uncached = true};

		if (!addrspace_add(&p->as, &range, r)) {
			return false;
		}
	}
	return true;
}

static void add_region(struct load_image *img, uint64_t base, uint64_t end, uint32_t type)
{
	if (end > base) {
		img->map[img->maps].base = base;
		img->map[img->maps].size = end - base;
		img->map[img->maps].type = type;
		img->maps++;
	}
}

/* RAM from 1 MiB on in [from, limit): ranges that meet are told as one. */
static void describe_ram(struct partition *p, uint64_t from, uint64_t limit)
{
	uint64_t base = 0, end = 0;

	for (unsigned i = 0; i < p->as.count; i++) {
		const struct addr_range *a = &p->as.range[i];

		if (!a->ptr || a->base.v + a->size <= from || a->base.v >= limit) {
			continue;
		}
		if (a->base.v != end) {
			add_region(&p->image, base, end, 1);
			base = a->base.v < from ? from : a->base.v;
		}
		end = a->base.v + a->size;
	}
	add_region(&p->image, base, end, 1);
}

/* The memory map that the guest is told: create_memory's layout, the BIOS area reserved. */
static void describe_memory(struct partition *p)
{
	struct load_image *img = &p->image;

	img->maps = 0;
	add_region(img, 0, GUEST_EBDA, 1);
	add_region(img, GUEST_EBDA, GUEST_VGA_HOLE, 2);
	add_region(img, ACPI_GUEST_BASE, GUEST_BIOS_END, 2);
	describe_ram(p, GUEST_BIOS_END, GUEST_LOW_LIMIT);
	add_region(img, VPCI_ECAM_BASE, VPCI_ECAM_BASE + VPCI_ECAM_SIZE, 2);
	describe_ram(p, GUEST_HIGH_BASE, UINT64_MAX);
}

/* --- what LAPICs ask of the rest --- */

static void apic_intr(void *ctx, unsigned index)
{
	struct partition *p = ctx;

	vcpu_post(p->vcpu[index], REQUEST_INTR);
}

static void apic_nmi(void *ctx, unsigned index)
{
	struct partition *p = ctx;

	vcpu_post(p->vcpu[index], REQUEST_NMI);
}

static void apic_extint(void *ctx, unsigned index)
{
	struct partition *p = ctx;

	vcpu_post(p->vcpu[index], REQUEST_EXTINT);
}

static void apic_init(void *ctx, unsigned index)
{
	struct partition *p = ctx;

	atomic_fetch_and(&p->vcpu[index]->request, ~(uint32_t)REQUEST_SIPI);
	vcpu_post(p->vcpu[index], REQUEST_INIT);
}

static void apic_sipi(void *ctx, unsigned index, uint8_t vector)
{
	struct partition *p = ctx;

	atomic_store_explicit(&p->vcpu[index]->sipi_vector, vector, memory_order_release);
	vcpu_post(p->vcpu[index], REQUEST_SIPI);
}

static void apic_eoi(void *ctx, uint8_t vector)
{
	pc_eoi(ctx, vector);
}

static bool create_vcpu(struct partition *p, unsigned index, struct refusal *r)
{
	struct vcpu *v;
	hpa_t at;

	if (!host_alloc(ALIGN_UP(sizeof(*v), PAGE_SIZE), PAGE_SIZE, &at)) {
		return refuse(r, "guest %s: no memory for a vCPU", p->config->name);
	}
	v = host_ptr(at);
	v->part = p;
	v->index = index;
	v->cpu = p->config->cpu[index];
	v->state = VCPU_OFF;
	v->timer_armed = v->console_deadline = UINT64_MAX;
	vlapic_init(&v->apic, &p->apics, index, index, index == 0, &v->tsc_offset);
	p->vcpu[index] = v;
	return virt->vcpu_create(v, r);
}

bool partition_create(struct partition *p, const struct npt_format *format, struct refusal *r)
{
	enum { GAPS_PER_SECOND = 50000 };

	p->apics = (struct apic_bus){.timer_shift = 0,
				     .timer_gap = host_tsc_hz / GAPS_PER_SECOND,
				     .tsc_deadline = true,
				     .maxphyaddr = cpuid_maxphyaddr(),
				     .extint = apic_extint,
				     .ctx = p,
				     .intr = apic_intr,
				     .nmi = apic_nmi,
				     .init = apic_init,
				     .sipi = apic_sipi,
				     .eoi = apic_eoi};
	if (!create_memory(p, r) || !create_mmio(p, r) || !npt_build(&p->npt, format, &p->as, r)) {
		return false;
	}
	describe_memory(p);
	for (unsigned i = 0; i < p->config->cpus; i++) {
		if (!create_vcpu(p, i, r)) {
			return false;
		}
		p->vcpus++;
	}
	return pc_create(p, r) && passthrough_create(p, r);
}
