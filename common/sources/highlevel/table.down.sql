drop table highlevel.pipelines;
drop table highlevel.opportunities;
drop schema highlevel;
