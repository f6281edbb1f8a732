"""network and volumes"""

import sqlalchemy as sa
from alembic import op

revision = '0003'
down_revision = '0002'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('address_groups',
    sa.Column('id', sa.String(length=36), nullable=False),
    sa.Column('project_id', sa.String(length=255), nullable=False),
    sa.Column('name', sa.String(length=255), nullable=False),
    sa.Column('description', sa.String(length=255), nullable=False),
    sa.Column('revision_number', sa.Integer(), nullable=False),
    sa.Column('created_at', sa.BigInteger(), nullable=False),
    sa.Column('updated_at', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_address_groups'))
    )
    with op.batch_alter_table('address_groups', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_address_groups_project_id'), ['project_id'], unique=False)

    op.create_table('address_scopes',
    sa.Column('id', sa.String(length=36), nullable=False),
    sa.Column('project_id', sa.String(length=255), nullable=False),
    sa.Column('name', sa.String(length=255), nullable=False),
    sa.Column('description', sa.String(length=255), nullable=False),
    sa.Column('revision_number', sa.Integer(), nullable=False),
    sa.Column('created_at', sa.BigInteger(), nullable=False),
    sa.Column('updated_at', sa.BigInteger(), nullable=False),
    sa.Column('ip_version', sa.Integer(), nullable=False),
    sa.Column('shared', sa.Boolean(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_address_scopes'))
    )
    with op.batch_alter_table('address_scopes', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_address_scopes_project_id'), ['project_id'], unique=False)

    op.create_table('auto_allocated_topologies',
    sa.Column('project_id', sa.String(length=255), nullable=False),
    sa.Column('network_id', sa.String(length=36), nullable=False),
    sa.Column('router_id', sa.String(length=36), nullable=False),
    sa.PrimaryKeyConstraint('project_id', name=op.f('pk_auto_allocated_topologies'))
    )
    op.create_table('network_agents',
    sa.Column('id', sa.String(length=36), nullable=False),
    sa.Column('project_id', sa.String(length=255), nullable=False),
    sa.Column('name', sa.String(length=255), nullable=False),
    sa.Column('description', sa.String(length=255), nullable=False),
    sa.Column('revision_number', sa.Integer(), nullable=False),
    sa.Column('created_at', sa.BigInteger(), nullable=False),
    sa.Column('updated_at', sa.BigInteger(), nullable=False),
    sa.Column('agent_type', sa.String(length=64), nullable=False),
    sa.Column('host', sa.String(length=255), nullable=False),
    sa.Column('binary', sa.String(length=64), nullable=False),
    sa.Column('alive', sa.Boolean(), nullable=False),
    sa.Column('started_at', sa.BigInteger(), nullable=False),
    sa.Column('heartbeat_at', sa.BigInteger(), nullable=False),
    sa.Column('configurations', sa.JSON(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_network_agents')),
    sa.UniqueConstraint('agent_type', 'host', name=op.f('uq_network_agents_agent_type_host'))
    )
    with op.batch_alter_table('network_agents', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_network_agents_project_id'), ['project_id'], unique=False)

    op.create_table('network_flavors',
    sa.Column('id', sa.String(length=36), nullable=False),
    sa.Column('project_id', sa.String(length=255), nullable=False),
    sa.Column('name', sa.String(length=255), nullable=False),
    sa.Column('description', sa.String(length=255), nullable=False),
    sa.Column('revision_number', sa.Integer(), nullable=False),
    sa.Column('created_at', sa.BigInteger(), nullable=False),
    sa.Column('updated_at', sa.BigInteger(), nullable=False),
    sa.Column('service_type', sa.String(length=255), nullable=False),
    sa.Column('enabled', sa.Boolean(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_network_flavors'))
    )
    with op.batch_alter_table('network_flavors', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_network_flavors_project_id'), ['project_id'], unique=False)

    op.create_table('network_foundations',
    sa.Column('name', sa.String(length=64), nullable=False),
    sa.PrimaryKeyConstraint('name', name=op.f('pk_network_foundations'))
    )
    op.create_table('network_rbac_policies',
    sa.Column('id', sa.String(length=36), nullable=False),
    sa.Column('project_id', sa.String(length=255), nullable=False),
    sa.Column('name', sa.String(length=255), nullable=False),
    sa.Column('description', sa.String(length=255), nullable=False),
    sa.Column('revision_number', sa.Integer(), nullable=False),
    sa.Column('created_at', sa.BigInteger(), nullable=False),
    sa.Column('updated_at', sa.BigInteger(), nullable=False),
    sa.Column('object_type', sa.String(length=32), nullable=False),
    sa.Column('object_id', sa.String(length=36), nullable=False),
    sa.Column('action', sa.String(length=32), nullable=False),
    sa.Column('target', sa.String(length=255), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_network_rbac_policies')),
    sa.UniqueConstraint('object_type', 'object_id', 'action', 'target', name=op.f('uq_network_rbac_policies_object_type_object_id_action_target'))
    )
    with op.batch_alter_table('network_rbac_policies', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_network_rbac_policies_project_id'), ['project_id'], unique=False)
        batch_op.create_index('ix_network_rbac_policies_target', ['target', 'object_type'], unique=False)

    op.create_table('network_service_profiles',
    sa.Column('id', sa.String(length=36), nullable=False),
    sa.Column('project_id', sa.String(length=255), nullable=False),
    sa.Column('name', sa.String(length=255), nullable=False),
    sa.Column('description', sa.String(length=255), nullable=False),
    sa.Column('revision_number', sa.Integer(), nullable=False),
    sa.Column('created_at', sa.BigInteger(), nullable=False),
    sa.Column('updated_at', sa.BigInteger(), nullable=False),
    sa.Column('driver', sa.String(length=255), nullable=False),
    sa.Column('metainfo', sa.String(length=255), nullable=False),
    sa.Column('enabled', sa.Boolean(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_network_service_profiles'))
    )
    with op.batch_alter_table('network_service_profiles', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_network_service_profiles_project_id'), ['project_id'], unique=False)

    op.create_table('qos_policies',
    sa.Column('id', sa.String(length=36), nullable=False),
    sa.Column('project_id', sa.String(length=255), nullable=False),
    sa.Column('name', sa.String(length=255), nullable=False),
    sa.Column('description', sa.String(length=255), nullable=False),
    sa.Column('revision_number', sa.Integer(), nullable=False),
    sa.Column('created_at', sa.BigInteger(), nullable=False),
    sa.Column('updated_at', sa.BigInteger(), nullable=False),
    sa.Column('shared', sa.Boolean(), nullable=False),
    sa.Column('default_of', sa.String(length=255), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_qos_policies')),
    sa.UniqueConstraint('default_of', name=op.f('uq_qos_policies_default_of'))
    )
    with op.batch_alter_table('qos_policies', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_qos_policies_project_id'), ['project_id'], unique=False)

    op.create_table('volume_keys',
    sa.Column('id', sa.String(length=36), nullable=False),
    sa.Column('project_id', sa.String(length=64), nullable=False),
    sa.Column('sealed', sa.Text(), nullable=False),
    sa.Column('provider', sa.String(length=255), nullable=False),
    sa.Column('cipher', sa.String(length=255), nullable=True),
    sa.Column('key_size', sa.Integer(), nullable=True),
    sa.Column('control_location', sa.String(length=16), nullable=False),
    sa.Column('exported', sa.Boolean(), nullable=False),
    sa.Column('created_at', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_volume_keys'))
    )
    op.create_table('address_group_addresses',
    sa.Column('address_group_id', sa.String(length=36), nullable=False),
    sa.Column('cidr', sa.String(length=64), nullable=False),
    sa.ForeignKeyConstraint(['address_group_id'], ['address_groups.id'], name=op.f('fk_address_group_addresses_address_group_id')),
    sa.PrimaryKeyConstraint('address_group_id', 'cidr', name=op.f('pk_address_group_addresses'))
    )
    op.create_table('default_security_group_rules',
    sa.Column('id', sa.String(length=36), nullable=False),
    sa.Column('project_id', sa.String(length=255), nullable=False),
    sa.Column('name', sa.String(length=255), nullable=False),
    sa.Column('description', sa.String(length=255), nullable=False),
    sa.Column('revision_number', sa.Integer(), nullable=False),
    sa.Column('created_at', sa.BigInteger(), nullable=False),
    sa.Column('updated_at', sa.BigInteger(), nullable=False),
    sa.Column('direction', sa.String(length=16), nullable=False),
    sa.Column('ethertype', sa.String(length=8), nullable=False),
    sa.Column('protocol', sa.String(length=40), nullable=True),
    sa.Column('port_range_min', sa.Integer(), nullable=True),
    sa.Column('port_range_max', sa.Integer(), nullable=True),
    sa.Column('remote_group_id', sa.String(length=36), nullable=True),
    sa.Column('remote_ip_prefix', sa.String(length=64), nullable=True),
    sa.Column('remote_address_group_id', sa.String(length=36), nullable=True),
    sa.Column('used_in_default_sg', sa.Boolean(), nullable=False),
    sa.Column('used_in_non_default_sg', sa.Boolean(), nullable=False),
    sa.Column('meaning', sa.String(length=255), nullable=False),
    sa.ForeignKeyConstraint(['remote_address_group_id'], ['address_groups.id'], name=op.f('fk_default_security_group_rules_remote_address_group_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_default_security_group_rules')),
    sa.UniqueConstraint('meaning', name=op.f('uq_default_security_group_rules_meaning'))
    )
    with op.batch_alter_table('default_security_group_rules', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_default_security_group_rules_project_id'), ['project_id'], unique=False)

    op.create_table('network_flavor_profiles',
    sa.Column('flavor_id', sa.String(length=36), nullable=False),
    sa.Column('profile_id', sa.String(length=36), nullable=False),
    sa.ForeignKeyConstraint(['flavor_id'], ['network_flavors.id'], name=op.f('fk_network_flavor_profiles_flavor_id')),
    sa.ForeignKeyConstraint(['profile_id'], ['network_service_profiles.id'], name=op.f('fk_network_flavor_profiles_profile_id')),
    sa.PrimaryKeyConstraint('flavor_id', 'profile_id', name=op.f('pk_network_flavor_profiles'))
    )
    with op.batch_alter_table('network_flavor_profiles', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_network_flavor_profiles_profile_id'), ['profile_id'], unique=False)

    op.create_table('qos_bandwidth_limit_rules',
    sa.Column('id', sa.String(length=36), nullable=False),
    sa.Column('project_id', sa.String(length=255), nullable=False),
    sa.Column('name', sa.String(length=255), nullable=False),
    sa.Column('description', sa.String(length=255), nullable=False),
    sa.Column('revision_number', sa.Integer(), nullable=False),
    sa.Column('created_at', sa.BigInteger(), nullable=False),
    sa.Column('updated_at', sa.BigInteger(), nullable=False),
    sa.Column('policy_id', sa.String(length=36), nullable=False),
    sa.Column('direction', sa.String(length=8), nullable=False),
    sa.Column('max_kbps', sa.Integer(), nullable=False),
    sa.Column('max_burst_kbps', sa.Integer(), nullable=False),
    sa.ForeignKeyConstraint(['policy_id'], ['qos_policies.id'], name=op.f('fk_qos_bandwidth_limit_rules_policy_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_qos_bandwidth_limit_rules')),
    sa.UniqueConstraint('policy_id', 'direction', name=op.f('uq_qos_bandwidth_limit_rules_policy_id_direction'))
    )
    with op.batch_alter_table('qos_bandwidth_limit_rules', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_qos_bandwidth_limit_rules_project_id'), ['project_id'], unique=False)

    op.create_table('qos_dscp_marking_rules',
    sa.Column('id', sa.String(length=36), nullable=False),
    sa.Column('project_id', sa.String(length=255), nullable=False),
    sa.Column('name', sa.String(length=255), nullable=False),
    sa.Column('description', sa.String(length=255), nullable=False),
    sa.Column('revision_number', sa.Integer(), nullable=False),
    sa.Column('created_at', sa.BigInteger(), nullable=False),
    sa.Column('updated_at', sa.BigInteger(), nullable=False),
    sa.Column('policy_id', sa.String(length=36), nullable=False),
    sa.Column('dscp_mark', sa.Integer(), nullable=False),
    sa.ForeignKeyConstraint(['policy_id'], ['qos_policies.id'], name=op.f('fk_qos_dscp_marking_rules_policy_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_qos_dscp_marking_rules')),
    sa.UniqueConstraint('policy_id', name=op.f('uq_qos_dscp_marking_rules_policy_id'))
    )
    with op.batch_alter_table('qos_dscp_marking_rules', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_qos_dscp_marking_rules_project_id'), ['project_id'], unique=False)

    op.create_table('trunks',
    sa.Column('id', sa.String(length=36), nullable=False),
    sa.Column('project_id', sa.String(length=255), nullable=False),
    sa.Column('name', sa.String(length=255), nullable=False),
    sa.Column('description', sa.String(length=255), nullable=False),
    sa.Column('revision_number', sa.Integer(), nullable=False),
    sa.Column('created_at', sa.BigInteger(), nullable=False),
    sa.Column('updated_at', sa.BigInteger(), nullable=False),
    sa.Column('admin_state_up', sa.Boolean(), nullable=False),
    sa.Column('port_id', sa.String(length=36), nullable=False),
    sa.ForeignKeyConstraint(['port_id'], ['ports.id'], name=op.f('fk_trunks_port_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_trunks')),
    sa.UniqueConstraint('port_id', name=op.f('uq_trunks_port_id'))
    )
    with op.batch_alter_table('trunks', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_trunks_project_id'), ['project_id'], unique=False)

    op.create_table('trunk_subports',
    sa.Column('port_id', sa.String(length=36), nullable=False),
    sa.Column('trunk_id', sa.String(length=36), nullable=False),
    sa.Column('segmentation_type', sa.String(length=16), nullable=False),
    sa.Column('segmentation_id', sa.Integer(), nullable=False),
    sa.ForeignKeyConstraint(['port_id'], ['ports.id'], name=op.f('fk_trunk_subports_port_id')),
    sa.ForeignKeyConstraint(['trunk_id'], ['trunks.id'], name=op.f('fk_trunk_subports_trunk_id')),
    sa.PrimaryKeyConstraint('port_id', name=op.f('pk_trunk_subports')),
    sa.UniqueConstraint('trunk_id', 'segmentation_type', 'segmentation_id', name=op.f('uq_trunk_subports_trunk_id_segmentation_type_segmentation_id'))
    )
    op.create_table('port_forwardings',
    sa.Column('id', sa.String(length=36), nullable=False),
    sa.Column('project_id', sa.String(length=255), nullable=False),
    sa.Column('name', sa.String(length=255), nullable=False),
    sa.Column('description', sa.String(length=255), nullable=False),
    sa.Column('revision_number', sa.Integer(), nullable=False),
    sa.Column('created_at', sa.BigInteger(), nullable=False),
    sa.Column('updated_at', sa.BigInteger(), nullable=False),
    sa.Column('floatingip_id', sa.String(length=36), nullable=False),
    sa.Column('protocol', sa.String(length=16), nullable=False),
    sa.Column('external_port', sa.Integer(), nullable=False),
    sa.Column('external_last', sa.Integer(), nullable=False),
    sa.Column('internal_port_id', sa.String(length=36), nullable=False),
    sa.Column('internal_ip_address', sa.String(length=64), nullable=False),
    sa.Column('internal_port', sa.Integer(), nullable=False),
    sa.Column('internal_last', sa.Integer(), nullable=False),
    sa.ForeignKeyConstraint(['floatingip_id'], ['floatingips.id'], name=op.f('fk_port_forwardings_floatingip_id')),
    sa.ForeignKeyConstraint(['internal_port_id'], ['ports.id'], name=op.f('fk_port_forwardings_internal_port_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_port_forwardings')),
    sa.UniqueConstraint('floatingip_id', 'protocol', 'external_port', name=op.f('uq_port_forwardings_floatingip_id_protocol_external_port'))
    )
    with op.batch_alter_table('port_forwardings', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_port_forwardings_internal_port_id'), ['internal_port_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_port_forwardings_project_id'), ['project_id'], unique=False)

    with op.batch_alter_table('floatingips', schema=None) as batch_op:
        batch_op.add_column(sa.Column('qos_policy_id', sa.String(length=36), nullable=True))
        batch_op.create_index(batch_op.f('ix_floatingips_qos_policy_id'), ['qos_policy_id'], unique=False)
        batch_op.create_foreign_key(batch_op.f('fk_floatingips_qos_policy_id'), 'qos_policies', ['qos_policy_id'], ['id'])

    with op.batch_alter_table('network_changes', schema=None) as batch_op:
        batch_op.add_column(sa.Column('kind', sa.String(length=32), nullable=True))
        batch_op.add_column(sa.Column('object_id', sa.String(length=36), nullable=True))

    with op.batch_alter_table('networks', schema=None) as batch_op:
        batch_op.add_column(sa.Column('dns_domain', sa.String(length=255), server_default='', nullable=False))
        batch_op.add_column(sa.Column('segmentation_id', sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column('vlan_transparent', sa.Boolean(), server_default=sa.text('(false)'), nullable=False))
        batch_op.add_column(sa.Column('qos_policy_id', sa.String(length=36), nullable=True))
        batch_op.drop_constraint(batch_op.f('uq_networks_physical_network'), type_='unique')
        batch_op.create_index(batch_op.f('ix_networks_qos_policy_id'), ['qos_policy_id'], unique=False)
        batch_op.create_unique_constraint(batch_op.f('uq_networks_physical_network_segmentation_id'), ['physical_network', 'segmentation_id'])
        batch_op.create_foreign_key(batch_op.f('fk_networks_qos_policy_id'), 'qos_policies', ['qos_policy_id'], ['id'])

    with op.batch_alter_table('ports', schema=None) as batch_op:
        batch_op.add_column(sa.Column('qos_policy_id', sa.String(length=36), nullable=True))
        batch_op.create_index(batch_op.f('ix_ports_qos_policy_id'), ['qos_policy_id'], unique=False)
        batch_op.create_foreign_key(batch_op.f('fk_ports_qos_policy_id'), 'qos_policies', ['qos_policy_id'], ['id'])

    with op.batch_alter_table('routers', schema=None) as batch_op:
        batch_op.add_column(sa.Column('flavor_id', sa.String(length=36), nullable=True))
        batch_op.add_column(sa.Column('qos_policy_id', sa.String(length=36), nullable=True))
        batch_op.create_index(batch_op.f('ix_routers_flavor_id'), ['flavor_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_routers_qos_policy_id'), ['qos_policy_id'], unique=False)
        batch_op.create_foreign_key(batch_op.f('fk_routers_flavor_id'), 'network_flavors', ['flavor_id'], ['id'])
        batch_op.create_foreign_key(batch_op.f('fk_routers_qos_policy_id'), 'qos_policies', ['qos_policy_id'], ['id'])

    with op.batch_alter_table('security_group_rules', schema=None) as batch_op:
        batch_op.add_column(sa.Column('remote_address_group_id', sa.String(length=36), nullable=True))
        batch_op.create_index(batch_op.f('ix_security_group_rules_remote_address_group_id'), ['remote_address_group_id'], unique=False)
        batch_op.create_foreign_key(batch_op.f('fk_security_group_rules_remote_address_group_id'), 'address_groups', ['remote_address_group_id'], ['id'])

    with op.batch_alter_table('servers', schema=None) as batch_op:
        batch_op.add_column(sa.Column('soft_deleted', sa.JSON(), nullable=True))
        batch_op.add_column(sa.Column('local_disks', sa.JSON(), nullable=True))

    with op.batch_alter_table('subnetpools', schema=None) as batch_op:
        batch_op.add_column(sa.Column('address_scope_id', sa.String(length=36), nullable=True))
        batch_op.create_index(batch_op.f('ix_subnetpools_address_scope_id'), ['address_scope_id'], unique=False)
        batch_op.create_foreign_key(batch_op.f('fk_subnetpools_address_scope_id'), 'address_scopes', ['address_scope_id'], ['id'])

    with op.batch_alter_table('subnets', schema=None) as batch_op:
        batch_op.add_column(sa.Column('service_types', sa.JSON(), server_default='[]', nullable=False))

    with op.batch_alter_table('volume_backups', schema=None) as batch_op:
        batch_op.alter_column('file',
               existing_type=sa.VARCHAR(length=36),
               type_=sa.String(length=300),
               existing_nullable=False)

    with op.batch_alter_table('volumes', schema=None) as batch_op:
        batch_op.add_column(sa.Column('backend', sa.String(length=63), server_default='file', nullable=False))
        batch_op.add_column(sa.Column('migration_status', sa.String(length=16), nullable=True))
        batch_op.add_column(sa.Column('encryption_key_id', sa.String(length=36), nullable=True))



def downgrade() -> None:
    with op.batch_alter_table('volumes', schema=None) as batch_op:
        batch_op.drop_column('encryption_key_id')
        batch_op.drop_column('migration_status')
        batch_op.drop_column('backend')

    with op.batch_alter_table('volume_backups', schema=None) as batch_op:
        batch_op.alter_column('file',
               existing_type=sa.String(length=300),
               type_=sa.VARCHAR(length=36),
               existing_nullable=False)

    with op.batch_alter_table('subnets', schema=None) as batch_op:
        batch_op.drop_column('service_types')

    with op.batch_alter_table('subnetpools', schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f('fk_subnetpools_address_scope_id'), type_='foreignkey')
        batch_op.drop_index(batch_op.f('ix_subnetpools_address_scope_id'))
        batch_op.drop_column('address_scope_id')

    with op.batch_alter_table('servers', schema=None) as batch_op:
        batch_op.drop_column('local_disks')
        batch_op.drop_column('soft_deleted')

    with op.batch_alter_table('security_group_rules', schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f('fk_security_group_rules_remote_address_group_id'), type_='foreignkey')
        batch_op.drop_index(batch_op.f('ix_security_group_rules_remote_address_group_id'))
        batch_op.drop_column('remote_address_group_id')

    with op.batch_alter_table('routers', schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f('fk_routers_qos_policy_id'), type_='foreignkey')
        batch_op.drop_constraint(batch_op.f('fk_routers_flavor_id'), type_='foreignkey')
        batch_op.drop_index(batch_op.f('ix_routers_qos_policy_id'))
        batch_op.drop_index(batch_op.f('ix_routers_flavor_id'))
        batch_op.drop_column('qos_policy_id')
        batch_op.drop_column('flavor_id')

    with op.batch_alter_table('ports', schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f('fk_ports_qos_policy_id'), type_='foreignkey')
        batch_op.drop_index(batch_op.f('ix_ports_qos_policy_id'))
        batch_op.drop_column('qos_policy_id')

    with op.batch_alter_table('networks', schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f('fk_networks_qos_policy_id'), type_='foreignkey')
        batch_op.drop_constraint(batch_op.f('uq_networks_physical_network_segmentation_id'), type_='unique')
        batch_op.drop_index(batch_op.f('ix_networks_qos_policy_id'))
        batch_op.create_unique_constraint(batch_op.f('uq_networks_physical_network'), ['physical_network'])
        batch_op.drop_column('qos_policy_id')
        batch_op.drop_column('vlan_transparent')
        batch_op.drop_column('segmentation_id')
        batch_op.drop_column('dns_domain')

    with op.batch_alter_table('network_changes', schema=None) as batch_op:
        batch_op.drop_column('object_id')
        batch_op.drop_column('kind')

    with op.batch_alter_table('floatingips', schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f('fk_floatingips_qos_policy_id'), type_='foreignkey')
        batch_op.drop_index(batch_op.f('ix_floatingips_qos_policy_id'))
        batch_op.drop_column('qos_policy_id')

    with op.batch_alter_table('port_forwardings', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_port_forwardings_project_id'))
        batch_op.drop_index(batch_op.f('ix_port_forwardings_internal_port_id'))

    op.drop_table('port_forwardings')
    op.drop_table('trunk_subports')
    with op.batch_alter_table('trunks', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_trunks_project_id'))

    op.drop_table('trunks')
    with op.batch_alter_table('qos_dscp_marking_rules', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_qos_dscp_marking_rules_project_id'))

    op.drop_table('qos_dscp_marking_rules')
    with op.batch_alter_table('qos_bandwidth_limit_rules', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_qos_bandwidth_limit_rules_project_id'))

    op.drop_table('qos_bandwidth_limit_rules')
    with op.batch_alter_table('network_flavor_profiles', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_network_flavor_profiles_profile_id'))

    op.drop_table('network_flavor_profiles')
    with op.batch_alter_table('default_security_group_rules', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_default_security_group_rules_project_id'))

    op.drop_table('default_security_group_rules')
    op.drop_table('address_group_addresses')
    op.drop_table('volume_keys')
    with op.batch_alter_table('qos_policies', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_qos_policies_project_id'))

    op.drop_table('qos_policies')
    with op.batch_alter_table('network_service_profiles', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_network_service_profiles_project_id'))

    op.drop_table('network_service_profiles')
    with op.batch_alter_table('network_rbac_policies', schema=None) as batch_op:
        batch_op.drop_index('ix_network_rbac_policies_target')
        batch_op.drop_index(batch_op.f('ix_network_rbac_policies_project_id'))

    op.drop_table('network_rbac_policies')
    op.drop_table('network_foundations')
    with op.batch_alter_table('network_flavors', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_network_flavors_project_id'))

    op.drop_table('network_flavors')
    with op.batch_alter_table('network_agents', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_network_agents_project_id'))

    op.drop_table('network_agents')
    op.drop_table('auto_allocated_topologies')
    with op.batch_alter_table('address_scopes', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_address_scopes_project_id'))

    op.drop_table('address_scopes')
    with op.batch_alter_table('address_groups', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_address_groups_project_id'))

    op.drop_table('address_groups')
