"""openstack powered"""

import sqlalchemy as sa
from alembic import op

revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('aggregates',
    sa.Column('id', sa.Integer(), autoincrement=True, nullable=False),
    sa.Column('uuid', sa.String(length=36), nullable=False),
    sa.Column('name', sa.String(length=255), nullable=False),
    sa.Column('metadata', sa.JSON(), nullable=False),
    sa.Column('created_at', sa.BigInteger(), nullable=False),
    sa.Column('updated_at', sa.BigInteger(), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_aggregates')),
    sa.UniqueConstraint('name', name=op.f('uq_aggregates_name')),
    sa.UniqueConstraint('uuid', name=op.f('uq_aggregates_uuid'))
    )
    op.create_table('console_tokens',
    sa.Column('digest', sa.String(length=64), nullable=False),
    sa.Column('server_id', sa.String(length=36), nullable=False),
    sa.Column('type', sa.String(length=32), nullable=False),
    sa.Column('verb', sa.String(length=32), nullable=False),
    sa.Column('expires_at', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('digest', name=op.f('pk_console_tokens'))
    )
    with op.batch_alter_table('console_tokens', schema=None) as batch_op:
        batch_op.create_index('ix_console_tokens_expires_at', ['expires_at'], unique=False)

    op.create_table('identity_consumers',
    sa.Column('id', sa.String(length=64), nullable=False),
    sa.Column('description', sa.Text(), nullable=True),
    sa.Column('secret', sa.Text(), nullable=False),
    sa.Column('extra', sa.JSON(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_identity_consumers'))
    )
    op.create_table('identity_endpoint_groups',
    sa.Column('id', sa.String(length=64), nullable=False),
    sa.Column('name', sa.String(length=255), nullable=False),
    sa.Column('description', sa.Text(), nullable=True),
    sa.Column('filters', sa.JSON(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_identity_endpoint_groups'))
    )
    op.create_table('identity_mappings',
    sa.Column('id', sa.String(length=64), nullable=False),
    sa.Column('rules', sa.JSON(), nullable=False),
    sa.Column('schema_version', sa.String(length=5), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_identity_mappings'))
    )
    op.create_table('identity_nonces',
    sa.Column('key', sa.String(length=64), nullable=False),
    sa.Column('expires_at', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('key', name=op.f('pk_identity_nonces'))
    )
    with op.batch_alter_table('identity_nonces', schema=None) as batch_op:
        batch_op.create_index('ix_identity_nonces_expires_at', ['expires_at'], unique=False)

    op.create_table('identity_policies',
    sa.Column('id', sa.String(length=64), nullable=False),
    sa.Column('type', sa.String(length=255), nullable=False),
    sa.Column('blob', sa.Text(), nullable=False),
    sa.Column('extra', sa.JSON(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_identity_policies'))
    )
    op.create_table('identity_revocation_events',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('audit_id', sa.String(length=32), nullable=True),
    sa.Column('user_id', sa.String(length=64), nullable=True),
    sa.Column('project_id', sa.String(length=64), nullable=True),
    sa.Column('domain_id', sa.String(length=64), nullable=True),
    sa.Column('trust_id', sa.String(length=64), nullable=True),
    sa.Column('consumer_id', sa.String(length=64), nullable=True),
    sa.Column('access_token_id', sa.String(length=64), nullable=True),
    sa.Column('issued_before', sa.BigInteger(), nullable=False),
    sa.Column('revoked_at', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_identity_revocation_events'))
    )
    with op.batch_alter_table('identity_revocation_events', schema=None) as batch_op:
        batch_op.create_index('ix_identity_revocation_events_revoked_at', ['revoked_at'], unique=False)

    op.create_table('identity_service_providers',
    sa.Column('id', sa.String(length=64), nullable=False),
    sa.Column('auth_url', sa.String(length=256), nullable=False),
    sa.Column('sp_url', sa.String(length=256), nullable=False),
    sa.Column('enabled', sa.Boolean(), nullable=False),
    sa.Column('description', sa.Text(), nullable=True),
    sa.Column('relay_state_prefix', sa.String(length=256), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_identity_service_providers'))
    )
    op.create_table('image_tasks',
    sa.Column('id', sa.String(length=36), nullable=False),
    sa.Column('type', sa.String(length=32), nullable=False),
    sa.Column('status', sa.String(length=16), nullable=False),
    sa.Column('owner', sa.String(length=64), nullable=True),
    sa.Column('user_id', sa.String(length=64), nullable=True),
    sa.Column('request_id', sa.String(length=64), nullable=True),
    sa.Column('image_id', sa.String(length=36), nullable=True),
    sa.Column('input', sa.JSON(), nullable=False),
    sa.Column('result', sa.JSON(), nullable=False),
    sa.Column('message', sa.Text(), nullable=False),
    sa.Column('created_at', sa.BigInteger(), nullable=False),
    sa.Column('updated_at', sa.BigInteger(), nullable=False),
    sa.Column('expires_at', sa.BigInteger(), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_image_tasks'))
    )
    with op.batch_alter_table('image_tasks', schema=None) as batch_op:
        batch_op.create_index('ix_image_tasks_created_at', ['created_at', 'id'], unique=False)
        batch_op.create_index('ix_image_tasks_image_id', ['image_id'], unique=False)

    op.create_table('metadef_namespaces',
    sa.Column('id', sa.String(length=36), nullable=False),
    sa.Column('namespace', sa.String(length=80), nullable=False),
    sa.Column('display_name', sa.String(length=80), nullable=True),
    sa.Column('description', sa.Text(), nullable=True),
    sa.Column('visibility', sa.String(length=16), nullable=False),
    sa.Column('protected', sa.Boolean(), nullable=False),
    sa.Column('owner', sa.String(length=255), nullable=True),
    sa.Column('created_at', sa.BigInteger(), nullable=False),
    sa.Column('updated_at', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_metadef_namespaces')),
    sa.UniqueConstraint('namespace', name=op.f('uq_metadef_namespaces_namespace'))
    )
    op.create_table('metadef_resource_types',
    sa.Column('name', sa.String(length=80), nullable=False),
    sa.Column('created_at', sa.BigInteger(), nullable=False),
    sa.Column('updated_at', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('name', name=op.f('pk_metadef_resource_types'))
    )
    op.create_table('migrations',
    sa.Column('id', sa.Integer(), autoincrement=True, nullable=False),
    sa.Column('uuid', sa.String(length=36), nullable=False),
    sa.Column('server_id', sa.String(length=36), nullable=False),
    sa.Column('project_id', sa.String(length=64), nullable=False),
    sa.Column('user_id', sa.String(length=64), nullable=False),
    sa.Column('type', sa.String(length=32), nullable=False),
    sa.Column('status', sa.String(length=32), nullable=False),
    sa.Column('source_host', sa.String(length=255), nullable=False),
    sa.Column('dest_host', sa.String(length=255), nullable=False),
    sa.Column('old_flavor', sa.JSON(), nullable=False),
    sa.Column('new_flavor', sa.JSON(), nullable=False),
    sa.Column('mark', sa.Integer(), nullable=False),
    sa.Column('ran', sa.Boolean(), nullable=False),
    sa.Column('wish', sa.String(length=16), nullable=True),
    sa.Column('figures', sa.JSON(), nullable=True),
    sa.Column('created_at', sa.BigInteger(), nullable=False),
    sa.Column('updated_at', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_migrations')),
    sa.UniqueConstraint('uuid', name=op.f('uq_migrations_uuid'))
    )
    with op.batch_alter_table('migrations', schema=None) as batch_op:
        batch_op.create_index('ix_migrations_server', ['server_id'], unique=False)
        batch_op.create_index('ix_migrations_updated', ['updated_at'], unique=False)

    op.create_table('server_groups',
    sa.Column('id', sa.String(length=36), nullable=False),
    sa.Column('seq', sa.BigInteger(), nullable=False),
    sa.Column('project_id', sa.String(length=64), nullable=False),
    sa.Column('user_id', sa.String(length=64), nullable=False),
    sa.Column('name', sa.String(length=255), nullable=False),
    sa.Column('policy', sa.String(length=32), nullable=False),
    sa.Column('max_server_per_host', sa.Integer(), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_server_groups'))
    )
    with op.batch_alter_table('server_groups', schema=None) as batch_op:
        batch_op.create_index('ix_server_groups_project', ['project_id'], unique=False)

    op.create_table('subnetpools',
    sa.Column('id', sa.String(length=36), nullable=False),
    sa.Column('project_id', sa.String(length=255), nullable=False),
    sa.Column('name', sa.String(length=255), nullable=False),
    sa.Column('description', sa.String(length=255), nullable=False),
    sa.Column('revision_number', sa.Integer(), nullable=False),
    sa.Column('created_at', sa.BigInteger(), nullable=False),
    sa.Column('updated_at', sa.BigInteger(), nullable=False),
    sa.Column('ip_version', sa.Integer(), nullable=False),
    sa.Column('prefixes', sa.JSON(), nullable=False),
    sa.Column('min_prefixlen', sa.Integer(), nullable=False),
    sa.Column('max_prefixlen', sa.Integer(), nullable=False),
    sa.Column('default_prefixlen', sa.Integer(), nullable=False),
    sa.Column('default_quota', sa.Integer(), nullable=True),
    sa.Column('shared', sa.Boolean(), nullable=False),
    sa.Column('is_default', sa.Boolean(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_subnetpools'))
    )
    with op.batch_alter_table('subnetpools', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_subnetpools_project_id'), ['project_id'], unique=False)

    op.create_table('user_quotas',
    sa.Column('project_id', sa.String(length=64), nullable=False),
    sa.Column('user_id', sa.String(length=64), nullable=False),
    sa.Column('service', sa.String(length=16), nullable=False),
    sa.Column('resource', sa.String(length=64), nullable=False),
    sa.Column('limit', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('project_id', 'user_id', 'service', 'resource', name=op.f('pk_user_quotas'))
    )
    op.create_table('volume_backups',
    sa.Column('id', sa.String(length=36), nullable=False),
    sa.Column('seq', sa.BigInteger(), nullable=False),
    sa.Column('project_id', sa.String(length=64), nullable=False),
    sa.Column('user_id', sa.String(length=64), nullable=False),
    sa.Column('volume_id', sa.String(length=36), nullable=False),
    sa.Column('snapshot_id', sa.String(length=36), nullable=True),
    sa.Column('parent_id', sa.String(length=36), nullable=True),
    sa.Column('file', sa.String(length=36), nullable=False),
    sa.Column('name', sa.String(length=255), nullable=True),
    sa.Column('description', sa.Text(), nullable=True),
    sa.Column('container', sa.String(length=255), nullable=True),
    sa.Column('availability_zone', sa.String(length=255), nullable=True),
    sa.Column('size', sa.Integer(), nullable=False),
    sa.Column('status', sa.String(length=32), nullable=False),
    sa.Column('fail_reason', sa.Text(), nullable=True),
    sa.Column('object_count', sa.Integer(), nullable=False),
    sa.Column('metadata', sa.JSON(), nullable=False),
    sa.Column('volume_facts', sa.JSON(), nullable=False),
    sa.Column('host', sa.String(length=255), nullable=True),
    sa.Column('data_timestamp', sa.BigInteger(), nullable=True),
    sa.Column('created_at', sa.BigInteger(), nullable=False),
    sa.Column('updated_at', sa.BigInteger(), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_volume_backups'))
    )
    with op.batch_alter_table('volume_backups', schema=None) as batch_op:
        batch_op.create_index('ix_volume_backups_parent_id', ['parent_id'], unique=False)
        batch_op.create_index('ix_volume_backups_project', ['project_id', 'seq'], unique=False)

    op.create_table('volume_group_types',
    sa.Column('id', sa.String(length=36), nullable=False),
    sa.Column('seq', sa.BigInteger(), nullable=False),
    sa.Column('name', sa.String(length=255), nullable=False),
    sa.Column('description', sa.Text(), nullable=True),
    sa.Column('is_public', sa.Boolean(), nullable=False),
    sa.Column('group_specs', sa.JSON(), nullable=False),
    sa.Column('created_at', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_volume_group_types')),
    sa.UniqueConstraint('name', name=op.f('uq_volume_group_types_name'))
    )
    op.create_table('volume_groups',
    sa.Column('id', sa.String(length=36), nullable=False),
    sa.Column('seq', sa.BigInteger(), nullable=False),
    sa.Column('project_id', sa.String(length=64), nullable=False),
    sa.Column('user_id', sa.String(length=64), nullable=False),
    sa.Column('name', sa.String(length=255), nullable=True),
    sa.Column('description', sa.Text(), nullable=True),
    sa.Column('status', sa.String(length=32), nullable=False),
    sa.Column('group_type_id', sa.String(length=36), nullable=False),
    sa.Column('volume_types', sa.JSON(), nullable=False),
    sa.Column('availability_zone', sa.String(length=255), nullable=False),
    sa.Column('group_snapshot_id', sa.String(length=36), nullable=True),
    sa.Column('source_group_id', sa.String(length=36), nullable=True),
    sa.Column('created_at', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_volume_groups'))
    )
    with op.batch_alter_table('volume_groups', schema=None) as batch_op:
        batch_op.create_index('ix_volume_groups_project', ['project_id', 'seq'], unique=False)

    op.create_table('volume_messages',
    sa.Column('id', sa.String(length=36), nullable=False),
    sa.Column('seq', sa.BigInteger(), nullable=False),
    sa.Column('project_id', sa.String(length=64), nullable=False),
    sa.Column('request_id', sa.String(length=255), nullable=False),
    sa.Column('resource_type', sa.String(length=32), nullable=False),
    sa.Column('resource_id', sa.String(length=36), nullable=False),
    sa.Column('event_id', sa.String(length=64), nullable=False),
    sa.Column('text', sa.Text(), nullable=False),
    sa.Column('created_at', sa.BigInteger(), nullable=False),
    sa.Column('expires_at', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_volume_messages'))
    )
    with op.batch_alter_table('volume_messages', schema=None) as batch_op:
        batch_op.create_index('ix_volume_messages_project', ['project_id', 'seq'], unique=False)

    op.create_table('volume_qos_specs',
    sa.Column('id', sa.String(length=36), nullable=False),
    sa.Column('seq', sa.BigInteger(), nullable=False),
    sa.Column('name', sa.String(length=255), nullable=False),
    sa.Column('consumer', sa.String(length=16), nullable=False),
    sa.Column('specs', sa.JSON(), nullable=False),
    sa.Column('created_at', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_volume_qos_specs')),
    sa.UniqueConstraint('name', name=op.f('uq_volume_qos_specs_name'))
    )
    op.create_table('volume_services',
    sa.Column('host', sa.String(length=255), nullable=False),
    sa.Column('binary', sa.String(length=32), nullable=False),
    sa.Column('disabled', sa.Boolean(), nullable=False),
    sa.Column('disabled_reason', sa.String(length=255), nullable=True),
    sa.Column('frozen', sa.Boolean(), nullable=False),
    sa.PrimaryKeyConstraint('host', 'binary', name=op.f('pk_volume_services'))
    )
    op.create_table('volume_types',
    sa.Column('id', sa.String(length=36), nullable=False),
    sa.Column('seq', sa.BigInteger(), nullable=False),
    sa.Column('name', sa.String(length=255), nullable=False),
    sa.Column('description', sa.Text(), nullable=True),
    sa.Column('is_public', sa.Boolean(), nullable=False),
    sa.Column('extra_specs', sa.JSON(), nullable=False),
    sa.Column('qos_id', sa.String(length=36), nullable=True),
    sa.Column('created_at', sa.BigInteger(), nullable=False),
    sa.Column('updated_at', sa.BigInteger(), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_volume_types')),
    sa.UniqueConstraint('name', name=op.f('uq_volume_types_name'))
    )
    op.create_table('volumes',
    sa.Column('id', sa.String(length=36), nullable=False),
    sa.Column('seq', sa.BigInteger(), nullable=False),
    sa.Column('project_id', sa.String(length=64), nullable=False),
    sa.Column('user_id', sa.String(length=64), nullable=False),
    sa.Column('name', sa.String(length=255), nullable=True),
    sa.Column('description', sa.Text(), nullable=True),
    sa.Column('size', sa.Integer(), nullable=False),
    sa.Column('status', sa.String(length=32), nullable=False),
    sa.Column('previous_status', sa.String(length=32), nullable=True),
    sa.Column('type_id', sa.String(length=36), nullable=False),
    sa.Column('availability_zone', sa.String(length=255), nullable=False),
    sa.Column('host', sa.String(length=255), nullable=True),
    sa.Column('bootable', sa.Boolean(), nullable=False),
    sa.Column('readonly', sa.Boolean(), nullable=True),
    sa.Column('multiattach', sa.Boolean(), nullable=False),
    sa.Column('metadata', sa.JSON(), nullable=False),
    sa.Column('image_metadata', sa.JSON(), nullable=True),
    sa.Column('snapshot_id', sa.String(length=36), nullable=True),
    sa.Column('source_volid', sa.String(length=36), nullable=True),
    sa.Column('group_id', sa.String(length=36), nullable=True),
    sa.Column('attach_status', sa.String(length=16), nullable=False),
    sa.Column('created_at', sa.BigInteger(), nullable=False),
    sa.Column('updated_at', sa.BigInteger(), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_volumes'))
    )
    with op.batch_alter_table('volumes', schema=None) as batch_op:
        batch_op.create_index('ix_volumes_group', ['group_id'], unique=False)
        batch_op.create_index('ix_volumes_project', ['project_id', 'seq'], unique=False)
        batch_op.create_index('ix_volumes_seq', ['seq'], unique=False)

    op.create_table('aggregate_hosts',
    sa.Column('aggregate_id', sa.Integer(), nullable=False),
    sa.Column('host', sa.String(length=255), nullable=False),
    sa.ForeignKeyConstraint(['aggregate_id'], ['aggregates.id'], name=op.f('fk_aggregate_hosts_aggregate_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('aggregate_id', 'host', name=op.f('pk_aggregate_hosts'))
    )
    with op.batch_alter_table('aggregate_hosts', schema=None) as batch_op:
        batch_op.create_index('ix_aggregate_hosts_host', ['host'], unique=False)

    op.create_table('identity_domain_options',
    sa.Column('domain_id', sa.String(length=64), nullable=False),
    sa.Column('group', sa.String(length=64), nullable=False),
    sa.Column('option', sa.String(length=64), nullable=False),
    sa.Column('value', sa.JSON(), nullable=False),
    sa.ForeignKeyConstraint(['domain_id'], ['identity_projects.id'], name=op.f('fk_identity_domain_options_domain_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('domain_id', 'group', 'option', name=op.f('pk_identity_domain_options'))
    )
    op.create_table('identity_inherited_assignments',
    sa.Column('actor_type', sa.String(length=8), nullable=False),
    sa.Column('actor_id', sa.String(length=64), nullable=False),
    sa.Column('target_type', sa.String(length=8), nullable=False),
    sa.Column('target_id', sa.String(length=64), nullable=False),
    sa.Column('role_id', sa.String(length=64), nullable=False),
    sa.ForeignKeyConstraint(['role_id'], ['identity_roles.id'], name=op.f('fk_identity_inherited_assignments_role_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('actor_type', 'actor_id', 'target_type', 'target_id', 'role_id', name=op.f('pk_identity_inherited_assignments'))
    )
    with op.batch_alter_table('identity_inherited_assignments', schema=None) as batch_op:
        batch_op.create_index('ix_identity_inherited_assignments_target_id', ['target_id'], unique=False)

    op.create_table('identity_project_endpoint_groups',
    sa.Column('project_id', sa.String(length=64), nullable=False),
    sa.Column('endpoint_group_id', sa.String(length=64), nullable=False),
    sa.ForeignKeyConstraint(['endpoint_group_id'], ['identity_endpoint_groups.id'], name=op.f('fk_identity_project_endpoint_groups_endpoint_group_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['project_id'], ['identity_projects.id'], name=op.f('fk_identity_project_endpoint_groups_project_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('project_id', 'endpoint_group_id', name=op.f('pk_identity_project_endpoint_groups'))
    )
    op.create_table('identity_providers',
    sa.Column('id', sa.String(length=64), nullable=False),
    sa.Column('domain_id', sa.String(length=64), nullable=False),
    sa.Column('enabled', sa.Boolean(), nullable=False),
    sa.Column('description', sa.Text(), nullable=True),
    sa.Column('remote_ids', sa.JSON(), nullable=False),
    sa.Column('authorization_ttl', sa.Integer(), nullable=True),
    sa.ForeignKeyConstraint(['domain_id'], ['identity_projects.id'], name=op.f('fk_identity_providers_domain_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_identity_providers'))
    )
    with op.batch_alter_table('identity_providers', schema=None) as batch_op:
        batch_op.create_index('ix_identity_providers_domain_id', ['domain_id'], unique=False)

    op.create_table('identity_registered_limits',
    sa.Column('id', sa.String(length=64), nullable=False),
    sa.Column('service_id', sa.String(length=64), nullable=False),
    sa.Column('region_id', sa.String(length=255), nullable=True),
    sa.Column('resource_name', sa.String(length=255), nullable=False),
    sa.Column('default_limit', sa.BigInteger(), nullable=False),
    sa.Column('description', sa.Text(), nullable=True),
    sa.ForeignKeyConstraint(['region_id'], ['identity_regions.id'], name=op.f('fk_identity_registered_limits_region_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['service_id'], ['identity_services.id'], name=op.f('fk_identity_registered_limits_service_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_identity_registered_limits'))
    )
    with op.batch_alter_table('identity_registered_limits', schema=None) as batch_op:
        batch_op.create_index('ix_identity_registered_limits_service_id', ['service_id'], unique=False)

    op.create_table('image_cache',
    sa.Column('image_id', sa.String(length=36), nullable=False),
    sa.Column('status', sa.String(length=16), nullable=False),
    sa.Column('size', sa.BigInteger(), nullable=True),
    sa.Column('hits', sa.Integer(), nullable=False),
    sa.Column('queued_at', sa.BigInteger(), nullable=False),
    sa.Column('modified_at', sa.BigInteger(), nullable=True),
    sa.Column('accessed_at', sa.BigInteger(), nullable=True),
    sa.ForeignKeyConstraint(['image_id'], ['images.id'], name=op.f('fk_image_cache_image_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('image_id', name=op.f('pk_image_cache'))
    )
    op.create_table('image_locations',
    sa.Column('image_id', sa.String(length=36), nullable=False),
    sa.Column('number', sa.Integer(), nullable=False),
    sa.Column('store', sa.String(length=64), nullable=False),
    sa.Column('status', sa.String(length=16), nullable=False),
    sa.Column('url', sa.Text(), nullable=True),
    sa.Column('meta', sa.JSON(), nullable=False),
    sa.ForeignKeyConstraint(['image_id'], ['images.id'], name=op.f('fk_image_locations_image_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('image_id', 'number', name=op.f('pk_image_locations'))
    )
    op.create_table('metadef_definitions',
    sa.Column('namespace_id', sa.String(length=36), nullable=False),
    sa.Column('kind', sa.String(length=16), nullable=False),
    sa.Column('name', sa.String(length=80), nullable=False),
    sa.Column('body', sa.JSON(), nullable=False),
    sa.Column('created_at', sa.BigInteger(), nullable=False),
    sa.Column('updated_at', sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(['namespace_id'], ['metadef_namespaces.id'], name=op.f('fk_metadef_definitions_namespace_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('namespace_id', 'kind', 'name', name=op.f('pk_metadef_definitions'))
    )
    op.create_table('volume_attachments',
    sa.Column('id', sa.String(length=36), nullable=False),
    sa.Column('seq', sa.BigInteger(), nullable=False),
    sa.Column('project_id', sa.String(length=64), nullable=False),
    sa.Column('volume_id', sa.String(length=36), nullable=False),
    sa.Column('server_id', sa.String(length=36), nullable=True),
    sa.Column('status', sa.String(length=16), nullable=False),
    sa.Column('mode', sa.String(length=8), nullable=False),
    sa.Column('mountpoint', sa.String(length=255), nullable=True),
    sa.Column('host_name', sa.String(length=255), nullable=True),
    sa.Column('connector', sa.JSON(), nullable=True),
    sa.Column('connection_info', sa.JSON(), nullable=True),
    sa.Column('attached_at', sa.BigInteger(), nullable=True),
    sa.Column('detached_at', sa.BigInteger(), nullable=True),
    sa.ForeignKeyConstraint(['volume_id'], ['volumes.id'], name=op.f('fk_volume_attachments_volume_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_volume_attachments'))
    )
    with op.batch_alter_table('volume_attachments', schema=None) as batch_op:
        batch_op.create_index('ix_volume_attachments_server_id', ['server_id'], unique=False)
        batch_op.create_index('ix_volume_attachments_volume_id', ['volume_id'], unique=False)

    op.create_table('volume_default_types',
    sa.Column('project_id', sa.String(length=64), nullable=False),
    sa.Column('type_id', sa.String(length=36), nullable=False),
    sa.ForeignKeyConstraint(['type_id'], ['volume_types.id'], name=op.f('fk_volume_default_types_type_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('project_id', name=op.f('pk_volume_default_types'))
    )
    op.create_table('volume_group_snapshots',
    sa.Column('id', sa.String(length=36), nullable=False),
    sa.Column('seq', sa.BigInteger(), nullable=False),
    sa.Column('project_id', sa.String(length=64), nullable=False),
    sa.Column('user_id', sa.String(length=64), nullable=False),
    sa.Column('group_id', sa.String(length=36), nullable=False),
    sa.Column('group_type_id', sa.String(length=36), nullable=False),
    sa.Column('name', sa.String(length=255), nullable=True),
    sa.Column('description', sa.Text(), nullable=True),
    sa.Column('status', sa.String(length=32), nullable=False),
    sa.Column('created_at', sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(['group_id'], ['volume_groups.id'], name=op.f('fk_volume_group_snapshots_group_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_volume_group_snapshots'))
    )
    with op.batch_alter_table('volume_group_snapshots', schema=None) as batch_op:
        batch_op.create_index('ix_volume_group_snapshots_project', ['project_id', 'seq'], unique=False)

    op.create_table('volume_snapshots',
    sa.Column('id', sa.String(length=36), nullable=False),
    sa.Column('seq', sa.BigInteger(), nullable=False),
    sa.Column('project_id', sa.String(length=64), nullable=False),
    sa.Column('user_id', sa.String(length=64), nullable=False),
    sa.Column('volume_id', sa.String(length=36), nullable=False),
    sa.Column('type_id', sa.String(length=36), nullable=False),
    sa.Column('name', sa.String(length=255), nullable=True),
    sa.Column('description', sa.Text(), nullable=True),
    sa.Column('size', sa.Integer(), nullable=False),
    sa.Column('status', sa.String(length=32), nullable=False),
    sa.Column('progress', sa.String(length=8), nullable=False),
    sa.Column('metadata', sa.JSON(), nullable=False),
    sa.Column('group_snapshot_id', sa.String(length=36), nullable=True),
    sa.Column('created_at', sa.BigInteger(), nullable=False),
    sa.Column('updated_at', sa.BigInteger(), nullable=True),
    sa.ForeignKeyConstraint(['volume_id'], ['volumes.id'], name=op.f('fk_volume_snapshots_volume_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_volume_snapshots'))
    )
    with op.batch_alter_table('volume_snapshots', schema=None) as batch_op:
        batch_op.create_index('ix_volume_snapshots_project', ['project_id', 'seq'], unique=False)
        batch_op.create_index('ix_volume_snapshots_volume_id', ['volume_id'], unique=False)

    op.create_table('volume_transfers',
    sa.Column('id', sa.String(length=36), nullable=False),
    sa.Column('seq', sa.BigInteger(), nullable=False),
    sa.Column('volume_id', sa.String(length=36), nullable=False),
    sa.Column('name', sa.String(length=255), nullable=True),
    sa.Column('salt', sa.String(length=32), nullable=False),
    sa.Column('digest', sa.String(length=64), nullable=False),
    sa.Column('no_snapshots', sa.Boolean(), nullable=False),
    sa.Column('source_project_id', sa.String(length=64), nullable=False),
    sa.Column('created_at', sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(['volume_id'], ['volumes.id'], name=op.f('fk_volume_transfers_volume_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_volume_transfers'))
    )
    op.create_table('volume_type_access',
    sa.Column('type_id', sa.String(length=36), nullable=False),
    sa.Column('project_id', sa.String(length=64), nullable=False),
    sa.ForeignKeyConstraint(['type_id'], ['volume_types.id'], name=op.f('fk_volume_type_access_type_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('type_id', 'project_id', name=op.f('pk_volume_type_access'))
    )
    op.create_table('volume_type_encryptions',
    sa.Column('id', sa.String(length=36), nullable=False),
    sa.Column('type_id', sa.String(length=36), nullable=False),
    sa.Column('provider', sa.String(length=255), nullable=False),
    sa.Column('cipher', sa.String(length=255), nullable=True),
    sa.Column('key_size', sa.Integer(), nullable=True),
    sa.Column('control_location', sa.String(length=16), nullable=False),
    sa.Column('created_at', sa.BigInteger(), nullable=False),
    sa.Column('updated_at', sa.BigInteger(), nullable=True),
    sa.ForeignKeyConstraint(['type_id'], ['volume_types.id'], name=op.f('fk_volume_type_encryptions_type_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_volume_type_encryptions')),
    sa.UniqueConstraint('type_id', name=op.f('uq_volume_type_encryptions_type_id'))
    )
    op.create_table('identity_access_rules',
    sa.Column('id', sa.String(length=64), nullable=False),
    sa.Column('user_id', sa.String(length=64), nullable=False),
    sa.Column('service', sa.String(length=64), nullable=False),
    sa.Column('method', sa.String(length=16), nullable=False),
    sa.Column('path', sa.String(length=128), nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['identity_users.id'], name=op.f('fk_identity_access_rules_user_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_identity_access_rules')),
    sa.UniqueConstraint('user_id', 'service', 'method', 'path', name=op.f('uq_identity_access_rules_user_id_service_method_path'))
    )
    op.create_table('identity_access_tokens',
    sa.Column('id', sa.String(length=64), nullable=False),
    sa.Column('consumer_id', sa.String(length=64), nullable=False),
    sa.Column('project_id', sa.String(length=64), nullable=False),
    sa.Column('user_id', sa.String(length=64), nullable=False),
    sa.Column('secret', sa.Text(), nullable=False),
    sa.Column('role_ids', sa.JSON(), nullable=False),
    sa.Column('expires_at', sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(['consumer_id'], ['identity_consumers.id'], name=op.f('fk_identity_access_tokens_consumer_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['project_id'], ['identity_projects.id'], name=op.f('fk_identity_access_tokens_project_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['user_id'], ['identity_users.id'], name=op.f('fk_identity_access_tokens_user_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_identity_access_tokens'))
    )
    with op.batch_alter_table('identity_access_tokens', schema=None) as batch_op:
        batch_op.create_index('ix_identity_access_tokens_user_id', ['user_id'], unique=False)

    op.create_table('identity_limits',
    sa.Column('id', sa.String(length=64), nullable=False),
    sa.Column('registered_limit_id', sa.String(length=64), nullable=False),
    sa.Column('project_id', sa.String(length=64), nullable=True),
    sa.Column('domain_id', sa.String(length=64), nullable=True),
    sa.Column('resource_limit', sa.BigInteger(), nullable=False),
    sa.Column('description', sa.Text(), nullable=True),
    sa.ForeignKeyConstraint(['domain_id'], ['identity_projects.id'], name=op.f('fk_identity_limits_domain_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['project_id'], ['identity_projects.id'], name=op.f('fk_identity_limits_project_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['registered_limit_id'], ['identity_registered_limits.id'], name=op.f('fk_identity_limits_registered_limit_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_identity_limits'))
    )
    with op.batch_alter_table('identity_limits', schema=None) as batch_op:
        batch_op.create_index('ix_identity_limits_registered_limit_id', ['registered_limit_id'], unique=False)

    op.create_table('identity_password_history',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('user_id', sa.String(length=64), nullable=False),
    sa.Column('password_hash', sa.String(length=255), nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['identity_users.id'], name=op.f('fk_identity_password_history_user_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_identity_password_history'))
    )
    with op.batch_alter_table('identity_password_history', schema=None) as batch_op:
        batch_op.create_index('ix_identity_password_history_user_id', ['user_id'], unique=False)

    op.create_table('identity_policy_associations',
    sa.Column('place', sa.String(length=400), nullable=False),
    sa.Column('policy_id', sa.String(length=64), nullable=False),
    sa.Column('endpoint_id', sa.String(length=64), nullable=True),
    sa.Column('service_id', sa.String(length=64), nullable=True),
    sa.Column('region_id', sa.String(length=255), nullable=True),
    sa.ForeignKeyConstraint(['endpoint_id'], ['identity_endpoints.id'], name=op.f('fk_identity_policy_associations_endpoint_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['policy_id'], ['identity_policies.id'], name=op.f('fk_identity_policy_associations_policy_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['region_id'], ['identity_regions.id'], name=op.f('fk_identity_policy_associations_region_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['service_id'], ['identity_services.id'], name=op.f('fk_identity_policy_associations_service_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('place', name=op.f('pk_identity_policy_associations'))
    )
    with op.batch_alter_table('identity_policy_associations', schema=None) as batch_op:
        batch_op.create_index('ix_identity_policy_associations_policy_id', ['policy_id'], unique=False)

    op.create_table('identity_project_endpoints',
    sa.Column('project_id', sa.String(length=64), nullable=False),
    sa.Column('endpoint_id', sa.String(length=64), nullable=False),
    sa.ForeignKeyConstraint(['endpoint_id'], ['identity_endpoints.id'], name=op.f('fk_identity_project_endpoints_endpoint_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['project_id'], ['identity_projects.id'], name=op.f('fk_identity_project_endpoints_project_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('project_id', 'endpoint_id', name=op.f('pk_identity_project_endpoints'))
    )
    op.create_table('identity_protocols',
    sa.Column('id', sa.String(length=64), nullable=False),
    sa.Column('idp_id', sa.String(length=64), nullable=False),
    sa.Column('mapping_id', sa.String(length=64), nullable=False),
    sa.Column('remote_id_attribute', sa.String(length=64), nullable=True),
    sa.ForeignKeyConstraint(['idp_id'], ['identity_providers.id'], name=op.f('fk_identity_protocols_idp_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['mapping_id'], ['identity_mappings.id'], name=op.f('fk_identity_protocols_mapping_id')),
    sa.PrimaryKeyConstraint('id', 'idp_id', name=op.f('pk_identity_protocols'))
    )
    op.create_table('identity_request_tokens',
    sa.Column('id', sa.String(length=64), nullable=False),
    sa.Column('consumer_id', sa.String(length=64), nullable=False),
    sa.Column('project_id', sa.String(length=64), nullable=False),
    sa.Column('secret', sa.Text(), nullable=False),
    sa.Column('expires_at', sa.BigInteger(), nullable=False),
    sa.Column('user_id', sa.String(length=64), nullable=True),
    sa.Column('role_ids', sa.JSON(), nullable=False),
    sa.Column('verifier', sa.String(length=64), nullable=True),
    sa.ForeignKeyConstraint(['consumer_id'], ['identity_consumers.id'], name=op.f('fk_identity_request_tokens_consumer_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['project_id'], ['identity_projects.id'], name=op.f('fk_identity_request_tokens_project_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['user_id'], ['identity_users.id'], name=op.f('fk_identity_request_tokens_user_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_identity_request_tokens'))
    )
    op.create_table('identity_trusts',
    sa.Column('id', sa.String(length=64), nullable=False),
    sa.Column('trustor_id', sa.String(length=64), nullable=False),
    sa.Column('trustee_id', sa.String(length=64), nullable=False),
    sa.Column('origin_id', sa.String(length=64), nullable=False),
    sa.Column('project_id', sa.String(length=64), nullable=True),
    sa.Column('impersonation', sa.Boolean(), nullable=False),
    sa.Column('role_ids', sa.JSON(), nullable=False),
    sa.Column('expires_at', sa.BigInteger(), nullable=True),
    sa.Column('remaining_uses', sa.Integer(), nullable=True),
    sa.Column('redelegation_count', sa.Integer(), nullable=False),
    sa.Column('parent_id', sa.String(length=64), nullable=True),
    sa.Column('extra', sa.JSON(), nullable=False),
    sa.ForeignKeyConstraint(['origin_id'], ['identity_users.id'], name=op.f('fk_identity_trusts_origin_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['parent_id'], ['identity_trusts.id'], name=op.f('fk_identity_trusts_parent_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['project_id'], ['identity_projects.id'], name=op.f('fk_identity_trusts_project_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['trustee_id'], ['identity_users.id'], name=op.f('fk_identity_trusts_trustee_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['trustor_id'], ['identity_users.id'], name=op.f('fk_identity_trusts_trustor_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_identity_trusts'))
    )
    with op.batch_alter_table('identity_trusts', schema=None) as batch_op:
        batch_op.create_index('ix_identity_trusts_trustee_id', ['trustee_id'], unique=False)
        batch_op.create_index('ix_identity_trusts_trustor_id', ['trustor_id'], unique=False)

    with op.batch_alter_table('allocations', schema=None) as batch_op:
        batch_op.add_column(sa.Column('project_id', sa.String(length=64), server_default='', nullable=False))
        batch_op.add_column(sa.Column('user_id', sa.String(length=64), server_default='', nullable=False))
        batch_op.add_column(sa.Column('generation', sa.Integer(), server_default='1', nullable=False))
        batch_op.create_index('ix_allocations_project', ['project_id', 'user_id'], unique=False)

    with op.batch_alter_table('identity_application_credentials', schema=None) as batch_op:
        batch_op.add_column(sa.Column('access_rule_ids', sa.JSON(none_as_null=True), nullable=True))

    with op.batch_alter_table('identity_credentials', schema=None) as batch_op:
        batch_op.add_column(sa.Column('access_digest', sa.String(length=64), nullable=True))
        batch_op.create_unique_constraint(batch_op.f('uq_identity_credentials_access_digest'), ['access_digest'])

    with op.batch_alter_table('identity_users', schema=None) as batch_op:
        batch_op.add_column(sa.Column('password_created_at', sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column('password_expires_at', sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column('failed_count', sa.Integer(), server_default='0', nullable=False))
        batch_op.add_column(sa.Column('failed_at', sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column('last_active_at', sa.BigInteger(), nullable=True))

    with op.batch_alter_table('images', schema=None) as batch_op:
        batch_op.add_column(sa.Column('os_hash_algo', sa.String(length=16), nullable=True))

    with op.batch_alter_table('ports', schema=None) as batch_op:
        batch_op.add_column(sa.Column('extra_dhcp_opts', sa.JSON(), server_default='[]', nullable=False))

    with op.batch_alter_table('servers', schema=None) as batch_op:
        batch_op.add_column(sa.Column('shelved', sa.JSON(), nullable=True))
        batch_op.add_column(sa.Column('rescue', sa.JSON(), nullable=True))
        batch_op.add_column(sa.Column('guest_password', sa.Text(), nullable=True))
        batch_op.add_column(sa.Column('personality', sa.JSON(), nullable=True))
        batch_op.add_column(sa.Column('server_group_id', sa.String(length=36), nullable=True))
        batch_op.add_column(sa.Column('scheduler_hints', sa.JSON(), nullable=True))
        batch_op.add_column(sa.Column('volumes', sa.JSON(), nullable=True))
        batch_op.add_column(sa.Column('image_properties', sa.JSON(), nullable=True))
        batch_op.create_index('ix_servers_group', ['server_group_id', 'deleted_at'], unique=False)

    with op.batch_alter_table('subnets', schema=None) as batch_op:
        batch_op.add_column(sa.Column('subnetpool_id', sa.String(length=36), nullable=True))
        batch_op.create_index(batch_op.f('ix_subnets_subnetpool_id'), ['subnetpool_id'], unique=False)
        batch_op.create_foreign_key(batch_op.f('fk_subnets_subnetpool_id'), 'subnetpools', ['subnetpool_id'], ['id'])



def downgrade() -> None:
    with op.batch_alter_table('subnets', schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f('fk_subnets_subnetpool_id'), type_='foreignkey')
        batch_op.drop_index(batch_op.f('ix_subnets_subnetpool_id'))
        batch_op.drop_column('subnetpool_id')

    with op.batch_alter_table('servers', schema=None) as batch_op:
        batch_op.drop_index('ix_servers_group')
        batch_op.drop_column('image_properties')
        batch_op.drop_column('volumes')
        batch_op.drop_column('scheduler_hints')
        batch_op.drop_column('server_group_id')
        batch_op.drop_column('personality')
        batch_op.drop_column('guest_password')
        batch_op.drop_column('rescue')
        batch_op.drop_column('shelved')

    with op.batch_alter_table('ports', schema=None) as batch_op:
        batch_op.drop_column('extra_dhcp_opts')

    with op.batch_alter_table('images', schema=None) as batch_op:
        batch_op.drop_column('os_hash_algo')

    with op.batch_alter_table('identity_users', schema=None) as batch_op:
        batch_op.drop_column('last_active_at')
        batch_op.drop_column('failed_at')
        batch_op.drop_column('failed_count')
        batch_op.drop_column('password_expires_at')
        batch_op.drop_column('password_created_at')

    with op.batch_alter_table('identity_credentials', schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f('uq_identity_credentials_access_digest'), type_='unique')
        batch_op.drop_column('access_digest')

    with op.batch_alter_table('identity_application_credentials', schema=None) as batch_op:
        batch_op.drop_column('access_rule_ids')

    with op.batch_alter_table('allocations', schema=None) as batch_op:
        batch_op.drop_index('ix_allocations_project')
        batch_op.drop_column('generation')
        batch_op.drop_column('user_id')
        batch_op.drop_column('project_id')

    with op.batch_alter_table('identity_trusts', schema=None) as batch_op:
        batch_op.drop_index('ix_identity_trusts_trustor_id')
        batch_op.drop_index('ix_identity_trusts_trustee_id')

    op.drop_table('identity_trusts')
    op.drop_table('identity_request_tokens')
    op.drop_table('identity_protocols')
    op.drop_table('identity_project_endpoints')
    with op.batch_alter_table('identity_policy_associations', schema=None) as batch_op:
        batch_op.drop_index('ix_identity_policy_associations_policy_id')

    op.drop_table('identity_policy_associations')
    with op.batch_alter_table('identity_password_history', schema=None) as batch_op:
        batch_op.drop_index('ix_identity_password_history_user_id')

    op.drop_table('identity_password_history')
    with op.batch_alter_table('identity_limits', schema=None) as batch_op:
        batch_op.drop_index('ix_identity_limits_registered_limit_id')

    op.drop_table('identity_limits')
    with op.batch_alter_table('identity_access_tokens', schema=None) as batch_op:
        batch_op.drop_index('ix_identity_access_tokens_user_id')

    op.drop_table('identity_access_tokens')
    op.drop_table('identity_access_rules')
    op.drop_table('volume_type_encryptions')
    op.drop_table('volume_type_access')
    op.drop_table('volume_transfers')
    with op.batch_alter_table('volume_snapshots', schema=None) as batch_op:
        batch_op.drop_index('ix_volume_snapshots_volume_id')
        batch_op.drop_index('ix_volume_snapshots_project')

    op.drop_table('volume_snapshots')
    with op.batch_alter_table('volume_group_snapshots', schema=None) as batch_op:
        batch_op.drop_index('ix_volume_group_snapshots_project')

    op.drop_table('volume_group_snapshots')
    op.drop_table('volume_default_types')
    with op.batch_alter_table('volume_attachments', schema=None) as batch_op:
        batch_op.drop_index('ix_volume_attachments_volume_id')
        batch_op.drop_index('ix_volume_attachments_server_id')

    op.drop_table('volume_attachments')
    op.drop_table('metadef_definitions')
    op.drop_table('image_locations')
    op.drop_table('image_cache')
    with op.batch_alter_table('identity_registered_limits', schema=None) as batch_op:
        batch_op.drop_index('ix_identity_registered_limits_service_id')

    op.drop_table('identity_registered_limits')
    with op.batch_alter_table('identity_providers', schema=None) as batch_op:
        batch_op.drop_index('ix_identity_providers_domain_id')

    op.drop_table('identity_providers')
    op.drop_table('identity_project_endpoint_groups')
    with op.batch_alter_table('identity_inherited_assignments', schema=None) as batch_op:
        batch_op.drop_index('ix_identity_inherited_assignments_target_id')

    op.drop_table('identity_inherited_assignments')
    op.drop_table('identity_domain_options')
    with op.batch_alter_table('aggregate_hosts', schema=None) as batch_op:
        batch_op.drop_index('ix_aggregate_hosts_host')

    op.drop_table('aggregate_hosts')
    with op.batch_alter_table('volumes', schema=None) as batch_op:
        batch_op.drop_index('ix_volumes_seq')
        batch_op.drop_index('ix_volumes_project')
        batch_op.drop_index('ix_volumes_group')

    op.drop_table('volumes')
    op.drop_table('volume_types')
    op.drop_table('volume_services')
    op.drop_table('volume_qos_specs')
    with op.batch_alter_table('volume_messages', schema=None) as batch_op:
        batch_op.drop_index('ix_volume_messages_project')

    op.drop_table('volume_messages')
    with op.batch_alter_table('volume_groups', schema=None) as batch_op:
        batch_op.drop_index('ix_volume_groups_project')

    op.drop_table('volume_groups')
    op.drop_table('volume_group_types')
    with op.batch_alter_table('volume_backups', schema=None) as batch_op:
        batch_op.drop_index('ix_volume_backups_project')
        batch_op.drop_index('ix_volume_backups_parent_id')

    op.drop_table('volume_backups')
    op.drop_table('user_quotas')
    with op.batch_alter_table('subnetpools', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_subnetpools_project_id'))

    op.drop_table('subnetpools')
    with op.batch_alter_table('server_groups', schema=None) as batch_op:
        batch_op.drop_index('ix_server_groups_project')

    op.drop_table('server_groups')
    with op.batch_alter_table('migrations', schema=None) as batch_op:
        batch_op.drop_index('ix_migrations_updated')
        batch_op.drop_index('ix_migrations_server')

    op.drop_table('migrations')
    op.drop_table('metadef_resource_types')
    op.drop_table('metadef_namespaces')
    with op.batch_alter_table('image_tasks', schema=None) as batch_op:
        batch_op.drop_index('ix_image_tasks_image_id')
        batch_op.drop_index('ix_image_tasks_created_at')

    op.drop_table('image_tasks')
    op.drop_table('identity_service_providers')
    with op.batch_alter_table('identity_revocation_events', schema=None) as batch_op:
        batch_op.drop_index('ix_identity_revocation_events_revoked_at')

    op.drop_table('identity_revocation_events')
    op.drop_table('identity_policies')
    with op.batch_alter_table('identity_nonces', schema=None) as batch_op:
        batch_op.drop_index('ix_identity_nonces_expires_at')

    op.drop_table('identity_nonces')
    op.drop_table('identity_mappings')
    op.drop_table('identity_endpoint_groups')
    op.drop_table('identity_consumers')
    with op.batch_alter_table('console_tokens', schema=None) as batch_op:
        batch_op.drop_index('ix_console_tokens_expires_at')

    op.drop_table('console_tokens')
    op.drop_table('aggregates')
