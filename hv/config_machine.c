/*
 * A configuration against a machine: CPUs and memory that exist, files that are there.
 *
 * Called at boot when the machine is known, and by the host tool with what its user says of the
 * machine. What is not known is not checked. No state.
 */
#include "hv/config_table.h"

static const char *machine_name(const struct config_machine *m)
{
	return m->machine_name ? m->machine_name : "this machine";
}

static bool check_cpus(const struct config *c, const struct config_guest *g,
		       const struct config_machine *m, struct refusal *r)
{
	for (unsigned i = 0; m->cpus && i < g->cpus; i++) {
		if (g->cpu[i] >= m->cpus) {
			return config_refuse(
				r, c, g->cpus_place,
				"guest '%s': CPU %u does not exist; %s has %u, numbered from 0",
				g->name, g->cpu[i], machine_name(m), m->cpus);
		}
	}
	for (unsigned i = 0; m->cpu_unusable && i < g->cpus; i++) {
		const char *why = m->cpu_unusable(m->ctx, g->cpu[i]);

		if (why) {
			return config_refuse(r, c, g->cpus_place,
					     "guest '%s' cannot run on CPU %u: %s", g->name,
					     g->cpu[i], why);
		}
	}
	return true;
}

/* *left: what the guests before leave. */
static bool check_memory(const struct config *c, const struct config_guest *g,
			 const struct config_machine *m, uint64_t *left, struct refusal *r)
{
	struct config_size wanted, there;

	if (m->memory && g->memory > *left) {
		return config_refuse(
			r, c, g->memory_place,
			"guest '%s' wants %s, but %s of %s are left; make guests smaller", g->name,
			config_size_text(&wanted, g->memory), config_size_text(&there, *left),
			machine_name(m));
	}
	*left -= g->memory;
	if (m->largest_block && g->memory > m->largest_block) {
		return config_refuse(
			r, c, g->memory_place,
			"guest '%s' wants %s, but the largest block of %s is %s; make it smaller",
			g->name, config_size_text(&wanted, g->memory), machine_name(m),
			config_size_text(&there, m->largest_block));
	}
	return true;
}

static bool check_flat(const struct config *c, const struct config_guest *g, uint64_t size,
		       struct refusal *r)
{
	if (g->flat && size && g->entry - g->load >= size) {
		return config_refuse(r, c, g->entry_place,
				     "entry 0x%lx lies behind the image, which ends at 0x%lx",
				     g->entry, g->load + size);
	}
	return true;
}

static bool check_files(const struct config *c, const struct config_guest *g,
			const struct config_machine *m, struct refusal *r)
{
	uint64_t left = g->memory;
	const struct config_file *f;
	struct config_size size_text, memory_text;

	for (unsigned i = 0; m->file_exists && (f = config_file_at(g, i)) != NULL; i++) {
		uint64_t size = 0;

		if (!m->file_exists(m->ctx, f->name, &size)) {
			return config_refuse(
				r, c, f->place,
				"file '%s' is not there; put it beside the configuration", f->name);
		}
		if (size > left) {
			return config_refuse(
				r, c, f->place,
				"file '%.40s' of %s does not fit into the guest's memory of %s; "
				"raise memory on line %u",
				config_file_base(f->name), config_size_text(&size_text, size),
				config_size_text(&memory_text, g->memory), g->memory_place.line);
		}
		left -= size;
		if (i == 0 && !check_flat(c, g, size, r)) {
			return false;
		}
	}
	return true;
}

/* A guest that could reach the machine's RAM would own the hypervisor and its neighbours. */
static bool check_mmio(const struct config *c, const struct config_guest *g,
		       const struct config_machine *m, struct refusal *r)
{
	for (unsigned i = 0; m->mmio_taken && i < g->mmios; i++) {
		const struct config_range *range = &g->mmio[i];
		const char *what = m->mmio_taken(m->ctx, range->base, range->size);

		if (what) {
			return config_refuse(r, c, range->place,
					     "guest '%s': mmio 0x%lx-0x%lx meets %s of %s; only "
					     "registers of a device can be passed through",
					     g->name, range->base, range->base + range->size - 1,
					     what, machine_name(m));
		}
	}
	return true;
}

bool config_check_machine(const struct config *c, const struct config_machine *m, struct refusal *r)
{
	uint64_t left = m->memory ? m->memory : UINT64_MAX;

	for (unsigned i = 0; i < c->guests; i++) {
		const struct config_guest *g = &c->guest[i];

		if (!check_cpus(c, g, m, r) || !check_memory(c, g, m, &left, r) ||
		    !check_mmio(c, g, m, r)) {
			return false;
		}
	}
	for (unsigned i = 0; i < c->guests; i++) {
		if (!check_files(c, &c->guest[i], m, r)) {
			return false;
		}
	}
	return true;
}
