/*
 * The common part of multiboot 1 and 2; see multiboot.h. Called by multiboot1_guest.c and
 * multiboot2_guest.c.
 */
#include "hv/load/multiboot.h"
#include "hv/lib/bytes.h"

static bool refuse_addresses(struct load_plan *p, const struct multiboot_addresses *a,
			     const char *why)
{
	return plan_refuse(p,
			   "address fields of the header at offset 0x%lx (header 0x%x, load 0x%x, "
			   "load end 0x%x, bss end 0x%x): %s",
			   a->header_at, a->header, a->load, a->load_end, a->bss_end, why);
}

bool multiboot_flat_image(struct load_plan *p, const struct multiboot_addresses *a,
			  struct multiboot_flat *m)
{
	uint64_t size = p->img->kernel.size;
	uint64_t load = a->load;

	if (load > a->header || a->header - load > a->header_at) {
		return refuse_addresses(p, a, "the load address is not in the file");
	}
	m->base = load;
	m->offset = a->header_at - (a->header - load);
	m->filesz = size - m->offset;
	if (a->load_end) {
		if (a->load_end < load || a->load_end - load > m->filesz) {
			return refuse_addresses(p, a, "the load end is not in the file");
		}
		m->filesz = a->load_end - load;
	}
	m->memsz = m->filesz;
	if (a->bss_end) {
		if (a->bss_end < load + m->filesz) {
			return refuse_addresses(p, a, "the bss ends before the load end");
		}
		m->memsz = a->bss_end - load;
	}
	return m->memsz || refuse_addresses(p, a, "nothing to load");
}

bool multiboot_flat_load(struct load_plan *p, const struct multiboot_flat *m, uint64_t delta)
{
	const char *why = plan_take(p, m->base + delta, m->memsz);

	if (why) {
		return plan_refuse(p, "memory 0x%lx+0x%lx of the header's address fields %s",
				   m->base + delta, m->memsz, why);
	}
	return plan_write(p, m->base + delta, p->img->kernel.data + m->offset, m->filesz);
}

bool multiboot_modules(struct load_plan *p, uint64_t at[MAX_MODULES])
{
	uint64_t end = plan_end(p);
	uint64_t min = end > MIB(1) ? end : MIB(1);

	for (unsigned i = 0; i < p->img->modules; i++) {
		const struct load_file *m = &p->img->module[i];
		/* A module of no bytes has an address all the same. */
		uint64_t size = m->size ? m->size : 1;

		if (!plan_find(p, size, PAGE_SIZE, min, GIB(4), PLAN_LOW, &at[i])) {
			return plan_refuse(p, "module %s of 0x%lx bytes finds no free RAM", m->name,
					   m->size);
		}
		if (!plan_write(p, at[i], m->data, m->size)) {
			return false;
		}
	}
	return true;
}

/* Bytes of RAM from `at` to the first hole. */
static uint64_t ram_from(const struct load_image *img, uint64_t at)
{
	uint64_t end = at;

	for (unsigned i = 0; i < img->maps; i++) {
		const struct load_region *m = &img->map[i];

		if (m->type == 1 && m->base <= end && end - m->base < m->size) {
			end = m->base + m->size;
		}
	}
	return end - at;
}

void multiboot_memory(const struct load_image *img, uint32_t *lower, uint32_t *upper)
{
	uint64_t low = ram_from(img, 0) >> 10, high = ram_from(img, MIB(1)) >> 10;

	*lower = low < 640 ? (uint32_t)low : 640;
	*upper = high < ~0u ? (uint32_t)high : ~0u;
}

uint32_t multiboot_put(struct multiboot_writer *w, const void *data, size_t n)
{
	uint32_t at = (uint32_t)w->base + w->len;

	if (w->p && data) {
		memcpy(w->p + w->len, data, n);
	} else if (w->p) {
		memset(w->p + w->len, 0, n);
	}
	w->len += (uint32_t)n;
	return at;
}

uint32_t multiboot_put_line(struct multiboot_writer *w, const char *name, const char *args)
{
	uint32_t at = multiboot_put(w, name, strlen(name));

	if (args && args[0]) {
		multiboot_put(w, " ", 1);
		multiboot_put(w, args, strlen(args));
	}
	multiboot_put(w, "", 1);
	return at;
}

void multiboot_align(struct multiboot_writer *w, uint32_t align)
{
	multiboot_put(w, NULL, ALIGN_UP(w->len, align) - w->len);
}

bool multiboot_info(struct load_plan *p, multiboot_build_fn build, void *ctx, uint64_t *at)
{
	struct multiboot_writer w = {0};

	build(&w, p->img, ctx);
	if (!plan_find(p, w.len, PAGE_SIZE, PAGE_SIZE, MIB(1), PLAN_HIGH, at) &&
	    !plan_find(p, w.len, PAGE_SIZE, PAGE_SIZE, GIB(4), PLAN_LOW, at)) {
		return plan_refuse(p, "no room for 0x%x bytes of boot information", w.len);
	}
	w.p = addrspace_ptr(p->as, gpa(*at), w.len);
	if (!w.p) {
		return plan_refuse(p, "no RAM in one piece for boot information");
	}
	w.base = *at;
	w.len = 0;
	build(&w, p->img, ctx);
	return true;
}

bool multiboot_enter(struct load_plan *p, struct vcpu_regs *regs, uint32_t magic, uint64_t entry,
		     uint64_t info)
{
	uint64_t gdt;

	if (!plan_find(p, LOAD_GDT_SIZE, 16, PAGE_SIZE, GIB(4), PLAN_LOW, &gdt)) {
		return plan_refuse(p, "no room for a GDT");
	}
	memset(regs->gpr, 0, sizeof(regs->gpr));
	regs->gpr[RAX] = magic;
	regs->gpr[RBX] = info;
	load_state_protected32(regs, entry);
	return load_gdt(regs, p->as, gpa(gdt), false);
}
